"""The tree of a conversation's messages, and its branches."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from uuid import UUID


class Tree:
    """The messages of a conversation by their parents."""

    def __init__(self, rows: Iterable[Any]) -> None:
        """Take rows with `id` and `parent_id`, in the order of their ids."""
        self._parents: dict[UUID, UUID | None] = {}
        self._children: defaultdict[UUID | None, list[UUID]] = defaultdict(list)
        for row in rows:
            self.add(row)

    def add(self, row: Any) -> None:
        """Add a message that is newer than all others."""
        self._parents[row.id] = row.parent_id
        self._children[row.parent_id].append(row.id)

    def __contains__(self, message_id: UUID) -> bool:
        """Whether there is such a message."""
        return message_id in self._parents

    def __len__(self) -> int:
        """Return how many messages there are."""
        return len(self._parents)

    def branch(self, last: UUID | None) -> list[UUID]:
        """Return the path from the first message to a given one, both included."""
        found = []
        while last is not None:
            found.append(last)
            last = self._parents[last]
        return found[::-1]

    def siblings(self, message_id: UUID) -> list[UUID]:
        """Return the messages with the same parent, oldest first."""
        return self._children[self._parents[message_id]]

    def newest_below(self, message_id: UUID) -> UUID:
        """Return the last message of the newest branch that contains a message."""
        while below := self._children.get(message_id):
            message_id = below[-1]
        return message_id
