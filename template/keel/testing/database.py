"""The migrated database that all tests share: checking and emptying it."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, MetaData, Table, inspect
from sqlalchemy.engine.reflection import ObjectKind

from keel.db.database import Database
from keel.db.models import IS_VIEW, load_models
from keel.testing.support import RunScript, Wipe

UNMIGRATED = """No migration creates {names}, so the tests' database lacks it. Generate one, review it, rerun the tests:
    uv run python -m app migrate
    uv run alembic revision --autogenerate -m "what is new" """

UNMARKED = """These models describe views: {names}. A view is not emptied after a test, and autogenerate must not create
a table for it, so write in the model:
    __table_args__ = {{"info": {{"is_view": True}}}}"""

_VIEW = "the view "


def refuse_unmigrated(database: Database, metadata: MetaData) -> None:
    """End the run, with instructions, if the database lacks a model's table or column, or a model's table is a view."""

    async def look() -> list[str]:
        try:
            async with database.reader.connect() as connection:
                return await connection.run_sync(_lacking, metadata)
        finally:
            await database.close()

    # The tests' event loop belongs to this thread.
    with ThreadPoolExecutor(1) as thread:
        lacking = thread.submit(lambda: asyncio.run(look())).result()
    if unmarked := [name.removeprefix(_VIEW) for name in lacking if name.startswith(_VIEW)]:
        pytest.exit(UNMARKED.format(names=", ".join(unmarked)), returncode=1)
    if lacking:
        pytest.exit(UNMIGRATED.format(names=", ".join(lacking)), returncode=1)


def _lacking(connection: Connection, metadata: MetaData) -> list[str]:
    # Other schemas are up to their owner.
    found = inspect(connection).get_multi_columns(kind=ObjectKind.ANY)
    tables = [table for table in metadata.sorted_tables if table.schema is None]
    there = {table: {column["name"] for column in columns} for (_, table), columns in found.items()}
    views = {name for _, name in inspect(connection).get_multi_columns(kind=ObjectKind.ANY_VIEW)}
    unmarked = [f"{_VIEW}`{table.name}`" for table in tables if table.name in views and not table.info.get(IS_VIEW)]
    lacking = [f"the table `{table.name}`" for table in tables if table.name not in there]
    columns = (c for table in tables for c in table.columns if table.name in there)
    return [*unmarked, *lacking, *(f"the column `{c}`" for c in columns if c.name not in there[c.table.name])]


@pytest.fixture(scope="session")
def wipe(run_script: RunScript) -> Wipe:
    """Return a function that empties every table, in one round trip."""
    return wiping(run_script, load_models("keel", "app").sorted_tables)


def wiping(run_script: RunScript, tables: Iterable[Table]) -> Wipe:
    """Return a function that empties tables, given with referring tables last. A view has no rows of its own."""
    emptied = [table.name for table in tables if not table.info.get(IS_VIEW)]
    script = "".join(f'DELETE FROM "{name}";' for name in reversed(emptied))  # noqa: S608 - our own names

    async def run() -> None:
        await run_script(script)

    return run
