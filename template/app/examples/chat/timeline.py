"""The messages of a room as this process knows them: in the order of their numbers, none twice, without a gap."""

from collections import deque
from collections.abc import Sequence

RECENT = 256
"""Newest messages that are kept in memory, so that a thousand clients who come back at once do not ask the database."""

AHEAD = 64
"""Announcements that wait for those before them, at most; the database has what is dropped."""


class Timeline:
    """What was said last, and what arrived before its turn."""

    def __init__(self) -> None:
        self.last = 0
        """The newest message without a gap before it."""
        self._recent: deque[str] = deque(maxlen=RECENT)
        self._ahead: dict[int, Sequence[str]] = {}

    @property
    def is_broken(self) -> bool:
        """Whether something has arrived before its turn, and waits."""
        return bool(self._ahead)

    def start(self, last: int, frames: Sequence[str]) -> None:
        """Begin after a message, with the newest ones up to it."""
        self.last = last
        self._recent.extend(frames)

    def add(self, first: int, frames: Sequence[str]) -> list[str]:
        """Take messages from a number on; return those whose turn it is now, and which were not here yet."""
        if first > self.last + 1:
            if len(self._ahead) < AHEAD:
                self._ahead[first] = frames
            return []
        due = self._append(first, frames)
        for number in sorted(self._ahead):
            if number > self.last + 1:
                break
            due += self._append(number, self._ahead.pop(number))
        return due

    def _append(self, first: int, frames: Sequence[str]) -> list[str]:
        new = list(frames[self.last + 1 - first :])
        self.last += len(new)
        self._recent.extend(new)
        return new

    def following(self, after: int) -> list[str] | None:
        """Return what followed a message; None if that is too long ago to be known here."""
        count = self.last - after
        if count > len(self._recent):
            return None
        return list(self._recent)[len(self._recent) - count :] if count > 0 else []
