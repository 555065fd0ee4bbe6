"""Sample rows for unknown tables: a value for every required column."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from typing import TYPE_CHECKING

import asyncpg

from tests.machinery.databases import query
from tests.machinery.schemas import schema

if TYPE_CHECKING:
    from collections.abc import Collection

_LITERALS = {
    "boolean": "false",
    "bytea": "'x'",
    "uuid": "gen_random_uuid()",
    "timestamp with time zone": "now()",
    "date": "now()",
    "json": "'{}'",
    "jsonb": "'{}'",
    "character varying": "'x'",
    "text": "'x'",
}


def tables(url: str) -> set[str]:
    """Return the tables of a database."""
    return {str(row[0]) for row in schema(url)} - {"alembic_version"}


def fill(url: str, names: Collection[str]) -> dict[str, int]:
    """Insert a row into each of these tables, ignoring foreign keys; return how many each has then."""
    if url.startswith("sqlite"):
        _fill_sqlite(url.partition("///")[2], names)
    else:
        asyncio.run(_fill_postgresql(url.replace("+asyncpg", ""), names))
    return count(url, names)


def count(url: str, names: Collection[str]) -> dict[str, int]:
    """Return how many rows each of these tables has."""
    return {name: query(url, f'SELECT count(*) FROM "{name}"')[0][0] for name in names}  # noqa: S608 - our names


def _fill_sqlite(file: str, names: Collection[str]) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for name in names:
            columns = connection.execute(f'PRAGMA table_info("{name}")').fetchall()
            # The database numbers a single integer key, and may already have rows.
            keys = [column for column in columns if column[5]]
            if len(keys) == 1 and keys[0][2] == "INTEGER":
                columns.remove(keys[0])
            listed = ", ".join(f'"{column[1]}"' for column in columns)
            values = ", ".join("'1'" for _ in columns)
            connection.execute(f'INSERT INTO "{name}" ({listed}) VALUES ({values})')  # noqa: S608 - our names


async def _fill_postgresql(url: str, names: Collection[str]) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET session_replication_role = replica")  # foreign keys are not checked
        for name in names:
            columns = await connection.fetch(
                "SELECT column_name, data_type FROM information_schema.columns"
                " WHERE table_schema = 'public' AND table_name = $1 AND is_nullable = 'NO'"
                # Except sequences: the table may already have rows.
                " AND coalesce(column_default, '') NOT LIKE 'nextval(%'",
                name,
            )
            listed = ", ".join(f'"{column[0]}"' for column in columns)
            values = ", ".join(_LITERALS.get(column[1], "1") for column in columns)
            await connection.execute(f'INSERT INTO "{name}" ({listed}) VALUES ({values})')  # noqa: S608 - our names
    finally:
        await connection.close()
