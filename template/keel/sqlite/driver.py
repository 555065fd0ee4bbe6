"""Statements in one trip: the driver runs each connection in a thread, and going there takes longer than most of them.

SQLAlchemy would go four times for one SELECT: to make a cursor, to execute, to fetch, and to close.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from sqlite3 import Row
from typing import Any, Self

import aiosqlite
from aiosqlite.context import contextmanager

AHEAD = 200
"""So many rows come with the answer to a statement; a stream goes for the others when it wants them."""


class Cursor(aiosqlite.Cursor):
    """A cursor that brings its first rows along, and needs no closing where there are no others."""

    _ahead: Sequence[Row] = ()
    _more = False

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> Self:
        """Execute a statement."""
        self._more = True
        self._ahead = await self._execute(self._execute_and_fetch, sql, parameters or ())
        self._more = len(self._ahead) == AHEAD
        return self

    def _execute_and_fetch(self, sql: str, parameters: Any) -> Sequence[Row]:
        return self._cursor.execute(sql, parameters).fetchmany(AHEAD)

    async def fetchone(self) -> Row | None:
        """Return the next row, if there is one."""
        return next(iter(await self.fetchmany(1)), None)

    async def fetchmany(self, size: int | None = None) -> Sequence[Row]:
        """Return the next rows."""
        wanted = size or self.arraysize
        rows, self._ahead = self._ahead[:wanted], self._ahead[wanted:]
        if self._more and len(rows) < wanted:
            rows = [*rows, *await super().fetchmany(wanted - len(rows))]
        return rows

    async def fetchall(self) -> Sequence[Row]:
        """Return all rows that are left."""
        rows, self._ahead = self._ahead, ()
        return [*rows, *await super().fetchall()] if self._more else rows

    async def close(self) -> None:
        """Let go of what was not fetched. SQLite has let go of a statement that has no more rows."""
        if self._more:
            await super().close()


class Connection(aiosqlite.Connection):
    """A connection with such cursors."""

    def __init__(self, database: str, **options: Any) -> None:
        super().__init__(lambda: sqlite3.connect(database, **options), AHEAD)
        # As SQLAlchemy does: a connection that nobody has closed shall not keep a process from its end.
        self._thread.daemon = True

    @contextmanager
    async def cursor(self) -> Cursor:
        """Return a cursor; to make one asks nothing of the database."""
        return Cursor(self, self._conn.cursor())
