"""Rows come with the answer to a statement; those that are left come when they are wanted."""

from typing import Any

import pytest
from sqlalchemy import text

from keel.db.database import Database
from keel.sqlite.driver import AHEAD, Connection

MANY = 2 * AHEAD + 1
COUNTED = text(f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY}) SELECT i FROM n")  # noqa: S608 - ours


async def test_a_statement_is_one_trip(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it returns, if that is not too much."""
    trips: list[str] = []
    execute = Connection._execute

    async def counted(self: Connection, function: Any, *arguments: Any) -> Any:
        trips.append(function.__name__)
        return await execute(self, function, *arguments)

    await database.ping()
    monkeypatch.setattr(Connection, "_execute", counted)
    assert await database.read.scalar(text("SELECT 1")) == 1
    assert trips == ["_execute_and_fetch"]


async def test_all_rows_come(database: Database) -> None:
    """However many there are."""
    assert [row.i for row in await database.read.all(COUNTED)] == [*range(1, MANY + 1)]


async def test_rows_are_streamed(database: Database) -> None:
    """One by one, in portions, and whatever is left."""
    async with database.reader.connect() as connection, connection.stream(COUNTED) as rows:
        first = await rows.fetchone()
        portions = [await rows.fetchmany(size) for size in (AHEAD, 7)]
        rest = await rows.fetchall()
        assert await rows.fetchone() is None

    assert first is not None
    together = [first, *portions[0], *portions[1], *rest]
    assert [len(portion) for portion in portions] == [AHEAD, 7]
    assert [row.i for row in together] == [*range(1, MANY + 1)]


async def test_what_nobody_fetches_holds_nothing_up(database: Database) -> None:
    """A stream that is left half-way is at its end: the database can be changed at once."""
    async with database.writer.connect() as connection:
        async with connection.stream(COUNTED) as rows:
            await rows.fetchone()
        await connection.exec_driver_sql("CREATE TABLE for_a_moment (id INTEGER)")
        await connection.exec_driver_sql("DROP TABLE for_a_moment")
        await connection.rollback()


async def test_cursors_of_the_driver(database: Database) -> None:
    """The driver's own ways to read work as well."""
    async with database.reader.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        async with driver.cursor() as cursor:
            await cursor.execute(COUNTED.text)
            some = [await cursor.fetchone(), *await cursor.fetchmany(2), *await cursor.fetchmany()]
            everything = [*some, *[row async for row in cursor]]
            assert await cursor.fetchone() is None

    assert [i for (i,) in everything] == [*range(1, MANY + 1)]
