"""How the database would carry out the queries of a test, had its tables many rows: whether indexes serve them."""

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
    """Return a context manager whose value has, after the block, a line for each step of a read that no index serves.

    Such a step goes through a whole table, or sorts what it has found: with a million rows, it takes as much longer. Use it
    as `async with watch_queries() as faults: await client.get(...)`, then `assert faults == []`.

    On PostgreSQL it is also a join that compares each row with each, in the plan for any parameters. That depends on how many
    rows there are, so fill and analyse the table first.
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
