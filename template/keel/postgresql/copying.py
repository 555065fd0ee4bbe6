"""Copying a SQLite database into PostgreSQL: every table, in batches, in one transaction."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anyio import to_thread
from sqlalchemy import (
    Column,
    Connection,
    Table,
    bindparam,
    create_engine,
    func,
    insert,
    inspect,
    make_url,
    select,
    update,
)
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from keel.db.models import Base

BATCH = 1000
"""Rows in memory at a time."""

Progress = Callable[[str, int], None]
"""Called with a table and how many of its rows are copied so far."""


class CopyError(Exception):
    """The databases can't be copied; the message says why and what to do."""


async def copy_database(source: str, target: AsyncEngine, progress: Progress) -> dict[str, int]:
    """Copy every row of the models' tables; return how many each table has.

    The target is written in one transaction, which is committed once the counts of both sides agree.

    Args:
        source: the URL of a SQLite database, migrated to the target's schema; nothing may write to it meanwhile.
        target: an engine of the migrated, empty PostgreSQL database.
        progress: called after each batch.

    Raises:
        CopyError: the source can't be read, a table is missing, the target has rows, or the counts differ.
    """
    tables = Base.metadata.sorted_tables
    try:
        with _reading(source) as old:
            async with target.begin() as new:
                await _check(old, new, tables)
                for table in tables:
                    await _copy(old, new, table, progress)
                return await _compare(old, new, tables)
    except DBAPIError as error:
        raise CopyError(f"{error.orig}") from error


@contextmanager
def _reading(source: str) -> Generator[Connection]:
    try:
        url = make_url(source)
    except ArgumentError:
        url = None
    if url is None or url.get_backend_name() != "sqlite" or not url.database:
        raise CopyError(f"{source} is not the URL of a SQLite database; write sqlite:///app.db")
    if not Path(url.database).is_file():
        raise CopyError(f"There is no file {url.database}.")
    engine = create_engine(url.set(drivername="sqlite"))
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


async def _check(old: Connection, new: AsyncConnection, tables: Sequence[Table]) -> None:
    names = {table.name for table in tables}
    there = {"the source": set(inspect(old).get_table_names())}
    there["the target"] = set(await new.run_sync(lambda connection: inspect(connection).get_table_names()))
    for side, found in there.items():
        if missing := sorted(names - found):
            raise CopyError(f"Tables are missing in {side}: {', '.join(missing)}. Run `python -m app migrate` on it.")
    filled = [name for name, count in (await _count_new(new, tables)).items() if count]
    if filled:
        raise CopyError(f"The target must be empty, but has rows in: {', '.join(filled)}.")


async def _copy(old: Connection, new: AsyncConnection, table: Table, progress: Progress) -> None:
    columns = [column for column in table.columns if column.computed is None]
    # Rows that refer to others in the same table are linked once all are copied.
    links = [column for column in columns if any(key.column.table is table for key in column.foreign_keys)]
    result = old.execution_options(stream_results=True).execute(select(*columns)).mappings()
    copied = 0
    while rows := await to_thread.run_sync(result.fetchmany, BATCH):
        await new.execute(insert(table), [{**row, **{link.name: None for link in links}} for row in rows])
        copied += len(rows)
        progress(table.name, copied)
    if links:
        await _link(old, new, table, links)
    await _advance_sequence(new, table)


async def _link(old: Connection, new: AsyncConnection, table: Table, links: Sequence[Column[Any]]) -> None:
    keys = list(table.primary_key)
    statement = (
        update(table)
        .where(*(key == bindparam(f"old_{key.name}") for key in keys))
        .values({link: bindparam(f"new_{link.name}") for link in links})
    )
    for rows in old.execute(select(*keys, *links)).partitions(BATCH):
        named = [f"old_{key.name}" for key in keys] + [f"new_{link.name}" for link in links]
        await new.execute(statement, [dict(zip(named, row, strict=True)) for row in rows])


async def _advance_sequence(new: AsyncConnection, table: Table) -> None:
    """Let the target's sequence continue after the copied numbers."""
    column = table.autoincrement_column
    if column is None:
        return
    sequence = await new.scalar(select(func.pg_get_serial_sequence(table.name, column.name)))
    highest = await new.scalar(select(func.max(column)))
    if sequence and highest:
        await new.execute(select(func.setval(sequence, highest)))


async def _compare(old: Connection, new: AsyncConnection, tables: Sequence[Table]) -> dict[str, int]:
    copied = await _count_new(new, tables)
    for table in tables:
        expected = old.execute(select(func.count()).select_from(table)).scalar_one()
        if copied[table.name] != expected:
            raise CopyError(f"{table.name} has {expected} rows in the source and {copied[table.name]} in the target.")
    return copied


async def _count_new(new: AsyncConnection, tables: Sequence[Table]) -> dict[str, int]:
    return {table.name: (await new.execute(select(func.count()).select_from(table))).scalar_one() for table in tables}
