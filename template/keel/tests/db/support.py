"""Calls of Alembic, and what they leave."""

from collections.abc import Callable

import anyio.to_thread
from sqlalchemy import inspect

from keel.db.database import Database


async def in_thread(function: Callable[..., object], *arguments: object) -> None:
    """Call Alembic in a thread, because it runs its own event loop."""
    await anyio.to_thread.run_sync(function, *arguments)


async def table_names(database: Database) -> set[str]:
    """Return the names of existing tables."""
    async with database.reader.connect() as connection:
        return set(await connection.run_sync(lambda c: inspect(c).get_table_names()))
