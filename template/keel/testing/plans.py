"""Query plans of a test's reads as if tables had many rows: whether indexes are used."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import event

from keel.db.database import Database
from keel.testing.support import Explain

WatchQueries = Callable[[], AbstractAsyncContextManager[list[str]]]
"""See `watch_queries`."""


@pytest.fixture
def watch_queries(database: Database, explain: Explain) -> WatchQueries:
    """Return a context manager that yields a list: after the block, it has a line per step of a read without an index.

    Such a step scans a whole table or sorts rows, so its time grows with them. Use it as
    `async with watch_queries() as faults: await client.get(...)`, then `assert faults == []`.

    On PostgreSQL it may also be a join of the generic plan that compares each row with each. That depends on the number of
    rows, so fill and analyse the table first.
    """

    @asynccontextmanager
    async def watching() -> AsyncGenerator[list[str]]:
        seen: dict[str, Any] = {}
        faults: list[str] = []

        def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
            seen[statement] = parameters

        engine = database.reader.sync_engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            yield faults
        finally:
            event.remove(engine, "before_cursor_execute", note)
        if not seen:
            raise AssertionError("Nothing was read.")
        async with database.transaction() as session:
            connection = await session.connection()
            for statement, parameters in seen.items():
                steps = await explain(connection, statement, parameters)
                faults += [f"{step}: {statement}" for step in steps]

    return watching
