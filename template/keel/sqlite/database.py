"""The database with one writer: a task that has it open must not wait for itself."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from keel.db.database import Database, Session


class OneWriter(Database):
    """Refuses what would never end: a transaction within another one of the same task."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: dict[asyncio.Task[Any] | None, Session] = {}

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Session]:
        """Open a session; see `Database.transaction`.

        Raises:
            RuntimeError: this task holds the one connection that writes already, and would wait for itself.
        """
        task = asyncio.current_task()
        outer = self._open.get(task)
        if outer is not None and outer.in_transaction():
            raise RuntimeError(
                "This request has a transaction open already, and SQLite has one writer: the second would wait for the first for "
                "ever. Work in the first: hand its session on. Or, where an operation opens transactions of its own "
                "(`DatabaseDep`), let neither it nor its dependencies take `SessionDep`."
            )
        async with super().transaction() as session:
            self._open[task] = session
            try:
                yield session
            finally:
                if outer is None:
                    del self._open[task]
                else:
                    self._open[task] = outer
