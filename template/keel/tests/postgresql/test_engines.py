"""Connections of the engines."""

import asyncio
import gc
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import select

from keel.db.database import Database
from keel.postgresql.engines import open_database
from keel.postgresql.settings import PostgresqlSettings


async def read(database: Database) -> None:
    """Read without a transaction."""
    await database.read.scalar(select(1))


async def write(database: Database) -> None:
    """Commit a transaction."""
    async with database.transaction() as session:
        await session.scalar(select(1))


@pytest.mark.parametrize("use", [read, write])
async def test_cancelled(database: Database, use: Callable[[Database], Awaitable[None]]) -> None:
    """Whenever a request is cancelled, while it connects or later, no connection is left open."""
    for moment in range(40):
        another = open_database(PostgresqlSettings.load())
        using = asyncio.ensure_future(use(another))
        await asyncio.sleep(moment / 4000)
        using.cancel()
        await asyncio.wait([using])
        await another.close()
    # The garbage collector would warn of an open connection, and the warning fails the test.
    gc.collect()
    assert await database.read.scalar(select(1)) == 1
