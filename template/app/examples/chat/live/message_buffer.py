"""The messages of a room as this process knows them: in the order of their numbers, each once, without a gap."""

from collections import deque
from collections.abc import Sequence

RECENT = 256
"""Newest messages that are kept in memory, so that a thousand clients that reconnect at once need no query."""

MAX_EARLY = 64
"""Announcements kept while earlier ones are missing; dropped ones are still in the database."""


class MessageBuffer:
    """The newest messages, and those that arrived out of order."""

    def __init__(self) -> None:
        self.last = 0
        """The newest message without a gap before it."""
        self._recent: deque[str] = deque(maxlen=RECENT)
        self._early: dict[int, Sequence[str]] = {}

    @property
    def has_gap(self) -> bool:
        """Whether a message has arrived out of order, and waits."""
        return bool(self._early)

    def start(self, last: int, frames: Sequence[str]) -> None:
        """Start after a message, with the newest ones up to it."""
        self.last = last
        self._recent.extend(frames)

    def add(self, first: int, frames: Sequence[str]) -> list[str]:
        """Add consecutive messages that begin at a number; return the new ones that are now in order."""
        if first > self.last + 1:
            if len(self._early) < MAX_EARLY:
                self._early[first] = frames
            return []
        due = self._append(first, frames)
        for number in sorted(self._early):
            if number > self.last + 1:
                break
            due += self._append(number, self._early.pop(number))
        return due

    def _append(self, first: int, frames: Sequence[str]) -> list[str]:
        new = list(frames[self.last + 1 - first :])
        self.last += len(new)
        self._recent.extend(new)
        return new

    def following(self, after: int) -> list[str] | None:
        """Return the messages after a number, up to `last`; None if they are older than the buffer."""
        count = self.last - after
        if count > len(self._recent):
            return None
        return list(self._recent)[len(self._recent) - count :] if count > 0 else []
