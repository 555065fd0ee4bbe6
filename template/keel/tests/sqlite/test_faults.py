"""SQLite's errors, and the responses to clients."""

import asyncio
import resource
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from httpx2 import AsyncClient
from sqlalchemy import insert, text
from sqlalchemy.exc import OperationalError

from keel.about import ROOT
from keel.application import new_app
from keel.db.database import Database
from keel.dependencies import SessionDep
from keel.services import services_of
from keel.sqlite.engines import check_writing
from keel.sqlite.settings import SqliteSettings
from keel.testing.support import running
from keel.tests.application import create_app
from keel.tests.widgets.api import WIDGETS, create
from keel.tests.widgets.models import Label


@pytest.fixture
def other_process(environment: None, database_url: str) -> Iterator[sqlite3.Connection]:
    """Return a connection like another process's."""
    connection = sqlite3.connect(database_url.partition("///")[2], isolation_level=None)
    yield connection
    connection.close()


async def test_locked_database(
    other_process: sqlite3.Connection, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another process holds the write lock, writes get 503 with Retry-After and reads succeed."""
    widget = await create(client)
    monkeypatch.setenv("DATABASE_BUSY_TIMEOUT", "0.05")
    other_process.execute("BEGIN IMMEDIATE")
    async with running(create_app()) as impatient:
        refused = await impatient.post(WIDGETS, json={"title": "Later"})
        read = await impatient.get(f"{WIDGETS}/{widget['id']}")
        other_process.execute("ROLLBACK")
        accepted = await impatient.post(WIDGETS, json={"title": "Now"})

    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "1"
    assert (read.status_code, accepted.status_code) == (200, 201)


async def test_write_waits_for_the_lock(other_process: sqlite3.Connection, client: AsyncClient) -> None:
    """A lock released within the busy timeout only delays the request."""
    other_process.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(client.post(WIDGETS, json={"title": "Soon"}))
    await asyncio.sleep(0.05)
    assert not writing.done()
    other_process.execute("ROLLBACK")

    assert (await writing).status_code == 201


async def test_read_only_file(database: Database, client: AsyncClient) -> None:
    """The process is not ready while it can only read, and ready again once it can write."""
    async with database.writer.connect() as connection:
        await connection.exec_driver_sql("PRAGMA query_only=ON")
    refused, read = await client.get("/readyz"), await client.get(WIDGETS)
    async with database.writer.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.execute("PRAGMA query_only=OFF")

    assert (refused.status_code, read.status_code) == (503, 200)
    assert refused.json()["checks"]["database_write"]["status"] == "failed"
    assert (await client.get("/readyz")).status_code == 200


async def test_full_disk(database: Database) -> None:
    """The check fails if the file cannot grow, and leaves the connection usable."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        with pytest.raises(OperationalError):
            await check_writing(database)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    await check_writing(database)


async def test_failed_commit_fails_the_request(database: Database) -> None:
    """A deferred constraint fails at COMMIT: the request gets no 2xx, and the writer stays usable."""
    app = new_app()
    services_of(app).database = database

    @app.post("/dangling", status_code=201)
    async def dangling(session: SessionDep) -> None:
        await (await session.connection()).exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        await session.execute(insert(Label).values(widget_id=uuid4(), name="dangling"))

    async with running(app) as client:
        assert [(await client.post("/dangling")).status_code for _ in range(2)] == [500, 500]


async def test_foreign_keys_are_checked(database: Database) -> None:
    """SQLite enforces them only with a pragma on each connection."""
    async with database.writer.connect() as connection:
        assert (await connection.exec_driver_sql("PRAGMA foreign_keys")).scalar() == 1
        assert (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar() == "wal"


@pytest.mark.parametrize("url", ["postgresql://localhost/app", "sqlite://", "sqlite:///:memory:", "app.db"])
def test_other_urls_are_rejected(url: str) -> None:
    """The message shows the expected form."""
    with pytest.raises(ValueError, match=r"sqlite\+aiosqlite:///|must be a file"):
        SqliteSettings(url=url)


def test_relative_path_starts_at_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another working directory creates no second database; absolute paths are kept."""
    monkeypatch.chdir(tmp_path)
    expected = f"sqlite+aiosqlite:///{ROOT / 'app.db'}"

    assert SqliteSettings(url="sqlite:///app.db").absolute_url == expected
    assert SqliteSettings(url="sqlite:///./app.db").absolute_url == expected
    assert SqliteSettings(url="sqlite:////data/app.db").absolute_url == "sqlite+aiosqlite:////data/app.db"


def test_driver_is_added() -> None:
    """A URL without a driver is accepted."""
    assert SqliteSettings(url="sqlite:////data/app.db").url == "sqlite+aiosqlite:////data/app.db"


async def test_nested_transaction(database: Database) -> None:
    """It is refused at once, because it would deadlock; consecutive and concurrent transactions work."""

    async def write() -> None:
        async with database.transaction() as session:
            await session.execute(text("SELECT 1"))

    async with database.transaction() as session:
        await write()  # the first has not begun
        await session.execute(text("SELECT 1"))
        with pytest.raises(RuntimeError, match="SQLite has one writer"):
            await write()
        other = asyncio.create_task(write())
    await write()
    await other
