"""A SQLite file, migrated once per session."""

import tempfile
from collections.abc import AsyncIterator
from typing import Any

import aiosqlite
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from keel.db import lifecycle
from keel.sqlite.engines import open_database
from keel.sqlite.settings import SqliteSettings
from keel.testing.support import PATIENCE, Explain, RunScript

FOLDER = tempfile.TemporaryDirectory(prefix="tests-", ignore_cleanup_errors=True)

ENVIRONMENT = {
    "DATABASE_URL": f"sqlite+aiosqlite:///{FOLDER.name}/test.db",
    # Generous, for busy machines; tests of outages set shorter ones.
    "DATABASE_BUSY_TIMEOUT": str(PATIENCE),
}


def pytest_unconfigure() -> None:
    """Delete the folder, also in a process without tests: the one that distributes them to others."""
    FOLDER.cleanup()


@pytest.fixture(scope="session")
async def database_url(anyio_backend: object) -> AsyncIterator[str]:
    """Return the URL of a database with every migration applied; the file is deleted afterwards."""
    with FOLDER:
        url = ENVIRONMENT["DATABASE_URL"]
        await lifecycle.upgrade(open_database(SqliteSettings(url=url)))
        yield url


@pytest.fixture(scope="session")
async def run_script(database_url: str) -> AsyncIterator[RunScript]:
    """Return a function that runs a script of several statements in one transaction."""
    async with aiosqlite.connect(database_url.partition("///")[2]) as connection:
        # Test data need not survive a crash of the machine.
        await connection.execute("PRAGMA synchronous=OFF")

        async def run(script: str) -> None:
            await connection.executescript(f"BEGIN IMMEDIATE;{script}COMMIT;")

        yield run


@pytest.fixture(scope="session")
def explain() -> Explain:
    """Return a function that explains a query, and returns its table scans, sorts and automatic indexes."""

    async def steps(connection: AsyncConnection, statement: str, parameters: Any) -> list[str]:
        plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        return [row.detail for row in plan if _has_no_index(row.detail)]

    return steps


def _has_no_index(step: str) -> bool:
    return "AUTOMATIC" in step or "TEMP B-TREE" in step or (step.startswith("SCAN") and "USING" not in step)
