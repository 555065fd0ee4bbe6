"""A PostgreSQL database of the tests' own, migrated once.

It is made on the server that `TEST_DATABASE_URL` names, or else on one that comes from a wheel and lives as long as the
tests. No existing database is touched.
"""

import os
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from keel.db import lifecycle
from keel.postgresql.engines import open_database
from keel.postgresql.settings import PostgresqlSettings
from keel.testing.ports import Port
from keel.testing.support import PATIENCE, Explain, RunScript
from keel.tests.postgresql.server import Server, breakable

_PORT = None if os.environ.get("TEST_DATABASE_URL") else Port()

_SERVER = make_url(
    f"postgresql://postgres@127.0.0.1:{_PORT.number}/postgres" if _PORT else os.environ["TEST_DATABASE_URL"]
)
"""The maintenance database: known before a server runs, for the application may be imported by then."""

_NAME = f"test_{os.getpid()}"

ENVIRONMENT = {
    "DATABASE_URL": _SERVER.set(drivername="postgresql+asyncpg", database=_NAME).render_as_string(hide_password=False),
    # A busy machine is no outage; tests of outages set what they need.
    "DATABASE_POOL_TIMEOUT": str(PATIENCE),
    "DATABASE_CONNECT_TIMEOUT": str(PATIENCE),
    "DATABASE_STATEMENT_TIMEOUT": str(PATIENCE),
    "DATABASE_LOCK_TIMEOUT": str(PATIENCE),
}

BREAKABLE = breakable


def pytest_unconfigure() -> None:
    """Release the port, also in a process without tests: the one that distributes them to others."""
    if _PORT:
        _PORT.close()


@pytest.fixture(scope="session")
def server_url() -> Iterator[URL]:
    """Return the URL of a running server's maintenance database."""
    if _PORT is None:
        yield _SERVER
        return
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as directory:
        server = Server(Path(directory), _PORT)
        server.start()
        yield _SERVER
        server.close()


@pytest.fixture(scope="session")
async def database_url(server_url: URL, anyio_backend: object) -> AsyncIterator[str]:
    """Return the URL of a database with every migration applied; it is dropped in the end."""
    url = ENVIRONMENT["DATABASE_URL"]
    admin = await asyncpg.connect(dsn(server_url))
    try:
        await admin.execute(f'CREATE DATABASE "{_NAME}"')
        await lifecycle.upgrade(open_database(PostgresqlSettings.model_validate({"url": url})))
        yield url
    finally:
        await admin.execute(f'DROP DATABASE IF EXISTS "{_NAME}" WITH (FORCE)')
        await admin.close()


@pytest.fixture(scope="session")
async def run_script(database_url: str) -> AsyncIterator[RunScript]:
    """Return a function that runs several statements at once."""
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


_AVOIDED = ("seqscan", "bitmapscan", "sort", "incremental_sort", "hashjoin", "mergejoin")
"""What is cheapest for the few rows of a test, and is done without if there is an index to do it by."""

_COMPARISON = re.compile(r"Join Filter: .*[<>]")
"""Each row of one table is compared with each of another."""


@pytest.fixture(scope="session")
def explain() -> Explain:
    """Return a function that explains a query in a transaction, and returns its table scans, sorts and range joins.

    There are two plans: the custom one for these parameters, and the generic one, which PostgreSQL may use from the sixth
    execution on. The latter knows neither how many elements an array has, nor which rows a parameter selects.
    """

    async def steps(connection: AsyncConnection, statement: str, parameters: Any) -> list[str]:
        await _allow(connection, "off")
        lines = await _plan(connection, statement, parameters)
        await _allow(connection, "on")
        await connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
        await connection.exec_driver_sql(f"PREPARE watched AS {statement}")
        arguments = f"({', '.join(['NULL'] * len(parameters))})" if parameters else ""
        for_any = await _plan(connection, f"EXECUTE watched{arguments}")
        await connection.exec_driver_sql("DEALLOCATE watched")
        found = [line for line in lines if line in {"Sort", "Incremental Sort"} or "Seq Scan" in line]
        return found + [line for line in for_any if _COMPARISON.match(line)]

    return steps


async def _allow(connection: AsyncConnection, what: str) -> None:
    for way in _AVOIDED:
        await connection.exec_driver_sql(f"SET LOCAL enable_{way} = {what}")


async def _plan(connection: AsyncConnection, statement: str, parameters: Any = None) -> list[str]:
    plan = await connection.exec_driver_sql(f"EXPLAIN (COSTS OFF) {statement}", parameters)
    return [line.strip(" ->") for line in plan.scalars()]
