"""The database with one writer: a task with an open transaction must not wait for itself."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from keel.db.database import Database, Session


class OneWriter(Database):
    """Refuses a transaction within another one of the same task, which would deadlock."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: dict[asyncio.Task[Any] | None, Session] = {}

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Session]:
        """Open a session; see `Database.transaction`.

        Raises:
            RuntimeError: this task already holds the only writing connection, and would wait for itself.
        """
        task = asyncio.current_task()
        outer = self._open.get(task)
        if outer is not None and outer.in_transaction():
            raise RuntimeError(
                "This request already has an open transaction, and SQLite has one writer: a second one would wait "
                "forever. Pass the session of the first one on; or, if an operation opens its own transactions "
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
