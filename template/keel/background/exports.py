"""Exports: packages say how everything that a subject has in them is read, row by row.

What carries the rows away (a file, a stream, an answer to somebody who asks what is stored about them) is the business
of whoever asks for them.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from keel.db.database import ReadSession


class Exporter(Protocol):
    """Reads what belongs to a subject, of one kind."""

    scope: str
    """What a caller must be allowed to do."""

    columns: Sequence[str]
    """The names of a row's values, in order."""

    async def count(self, session: ReadSession, subject: str) -> int:
        """Return about how many rows there are."""
        ...

    def rows(self, session: ReadSession, subject: str) -> AsyncIterator[Mapping[str, Any]]:
        """Read the rows, a page at a time: nothing is held meanwhile."""
        ...


class Exports:
    """What can be exported, in all packages."""

    def __init__(self) -> None:
        self._exporters: dict[str, Exporter] = {}

    def register(self, name: str, exporter: Exporter) -> None:
        """Say how the rows of a kind are read."""
        self._exporters[name] = exporter

    def get(self, name: str) -> Exporter | None:
        """Return what reads the rows of a kind."""
        return self._exporters.get(name)
