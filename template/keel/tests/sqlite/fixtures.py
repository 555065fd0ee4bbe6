"""A SQLite file, migrated once."""

import tempfile
from collections.abc import AsyncIterator

import aiosqlite
import pytest

from keel.db import migrations
from keel.sqlite.engines import open_database
from keel.sqlite.settings import SqliteSettings
from keel.testing.support import PATIENCE, RunScript

# A busy machine is no outage; tests of outages set what they need.
ENVIRONMENT = {"DATABASE_BUSY_TIMEOUT": str(PATIENCE)}


@pytest.fixture(scope="session")
async def database_url(anyio_backend: object) -> AsyncIterator[str]:
    """Return the URL of a database with every migration applied; it is removed in the end."""
    with tempfile.TemporaryDirectory(prefix="tests-", ignore_cleanup_errors=True) as directory:
        url = f"sqlite+aiosqlite:///{directory}/test.db"
        await migrations.upgrade(open_database(SqliteSettings(url=url)))
        yield url


@pytest.fixture(scope="session")
async def run_script(database_url: str) -> AsyncIterator[RunScript]:
    """Return what runs several statements at once."""
    async with aiosqlite.connect(database_url.partition("///")[2]) as connection:
        # A crash of the machine may lose what tests have written.
        await connection.execute("PRAGMA synchronous=OFF")

        async def run(script: str) -> None:
            await connection.executescript(f"BEGIN IMMEDIATE;{script}COMMIT;")

        yield run
