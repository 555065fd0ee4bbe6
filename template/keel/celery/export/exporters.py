"""Exporters: a package's reader of all objects of one kind that a subject owns, row by row.

A package of `app/` provides them in its module `exports`: `exporters(services)` returns them by kind.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from keel.db.database import ReadSession


class Exporter(Protocol):
    """Reads the objects of one kind."""

    scope: str
    """The scope that the caller needs."""

    columns: Sequence[str]
    """The keys of a row, in order."""

    async def count(self, session: ReadSession, subject: str) -> int:
        """Return the approximate number of rows."""
        ...

    def rows(self, session: ReadSession, subject: str) -> AsyncIterator[Mapping[str, Any]]:
        """Read the rows a page at a time; no transaction stays open between pages."""
        ...
