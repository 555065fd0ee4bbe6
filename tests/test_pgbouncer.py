"""A project behind a real PgBouncer, in session and transaction mode."""

from __future__ import annotations

import contextlib
import os
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.machinery.databases import empty_database, query
from tests.machinery.programs import program, running
from tests.machinery.rendering import render
from tests.machinery.serving import PATIENCE, Isolated, free_port, request

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.machinery.resources import Resources

SERVE = ("uvicorn", "app.main:app", "--port", "{port}")
MODES = ["session", "transaction"]
CONFIGURATION = """[databases]
* = host={host} port={port} user={user}{password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
{more}
"""
TRY_TO_WRITE = """
import asyncio
from sqlalchemy import text
from app.main import create_app
from keel.services import services_of

async def main():
    database = services_of(create_app()).database
    try:
        async with database.reader.connect() as connection:
            await connection.execute(text("DELETE FROM notes"))
            await connection.commit()
    except Exception as error:
        print(error)
    await database.close()

asyncio.run(main())
"""
ASK = """
import asyncio
from app.main import create_app
from keel.services import services_of

asyncio.run(services_of(create_app()).checks.run())
"""


@pytest.fixture(scope="module")
def project(resources: Resources, tmp_path_factory: pytest.TempPathFactory) -> Isolated:
    """A project on PostgreSQL, with the shared environment."""
    place = tmp_path_factory.mktemp("pooled") / "project"
    render(resources.template, place, {"preset": "minimal", "database": "postgresql"})
    shared = {"UV_PROJECT_ENVIRONMENT": str(resources.python.parents[1]), "UV_NO_SYNC": "1"}
    limits = ("DATABASE_POOL", "DATABASE_CONNECT", "DATABASE_STATEMENT", "READINESS")
    variables = {f"{name}_TIMEOUT": str(PATIENCE) for name in limits}
    return Isolated(place, {"ENVIRONMENT": "test", "RATE_LIMIT": "", "ENV_FILE": "", **variables, **shared})


def told(project: Isolated, **variables: str) -> Isolated:
    """The project with more variables."""
    return Isolated(project.project, {**project.environment, **variables})


@pytest.fixture
def database(server: str, tmp_path: Path) -> Iterator[str]:
    """An empty database."""
    with empty_database("postgresql", server, tmp_path) as url:
        yield url


@pytest.fixture
def pooled(database: str, tmp_path: Path) -> Callable[..., AbstractContextManager[str]]:
    """What starts a PgBouncer in a mode, and yields the database's URL at it."""
    found = program("pgbouncer")
    server = urlsplit(database)

    @contextlib.contextmanager
    def start(mode: str, size: int, more: str = "") -> Generator[str]:
        listen = free_port()
        told = {"host": server.hostname, "port": server.port or 5432, "user": server.username}
        file = tmp_path / "pgbouncer.ini"
        text = CONFIGURATION.format(
            **told,
            password=f" password={server.password}" if server.password else "",
            listen=listen,
            mode=mode,
            size=size,
            more=more,
        )
        file.write_text(text, encoding="utf-8")
        user = ("-u", "nobody") if os.geteuid() == 0 else ()  # it does not run as root
        address = ("127.0.0.1", listen)
        command = (found, *user, str(file))
        with running(command, tmp_path / "pgbouncer.log", lambda: socket.create_connection(address).close()):
            yield f"postgres://{server.username}@127.0.0.1:{listen}{server.path}"

    return start


@pytest.mark.parametrize("mode", MODES)
def test_a_project_behind_a_pooler(
    project: Isolated, database: str, pooled: Callable[..., AbstractContextManager[str]], mode: str
) -> None:
    """With one setting it migrates and serves many callers at once, with fewer connections in transaction mode."""
    size = 3 if mode == "transaction" else 40
    with pooled(mode, size) as url:
        pooled_project = told(project, DATABASE_URL=url, DATABASE_POOLER="true")
        pooled_project.must("run", "python", "-m", "app", "migrate")
        with pooled_project.served(*SERVE) as (address, server), ThreadPoolExecutor(16) as threads:

            def keep_and_read(number: int) -> list[int]:
                status, note = request("POST", f"{address}/api/v1/notes", {"title": str(number)})
                notes = f"{address}/api/v1/notes"
                read = request("GET", f"{notes}/{note['id']}")
                changed = request("PATCH", f"{notes}/{note['id']}", {"body": "more"}, {"If-Match": '"1"'})
                listed = request("GET", f"{notes}?q={number}")
                assert read[1]["title"] == str(number)
                return [status, read[0], changed[0], listed[0]]

            statuses = Counter(status for each in threads.map(keep_and_read, range(100)) for status in each)
            used = query(database, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            assert statuses == {201: 100, 200: 300}, server.log[-4000:]
    assert query(database, "SELECT count(*), min(version) FROM notes") == [(100, 2)]
    assert used[0][0] - 1 <= size, "one connection is that of the question"


@pytest.mark.parametrize("mode", MODES)
def test_reads_cannot_write(
    project: Isolated, pooled: Callable[..., AbstractContextManager[str]], mode: str
) -> None:
    """The server rejects writes of reads, although they share connections with writes."""
    with pooled(mode, 1 if mode == "transaction" else 40) as url:
        pooled_project = told(project, DATABASE_URL=url, DATABASE_POOLER="true")
        pooled_project.must("run", "python", "-m", "app", "migrate")
        said = pooled_project.must("run", "python", "-c", TRY_TO_WRITE)
    assert "cannot execute DELETE in a read-only transaction" in said


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("more", ["", "ignore_startup_parameters = default_transaction_read_only"])
def test_missing_setting_is_reported(
    project: Isolated, pooled: Callable[..., AbstractContextManager[str]], mode: str, more: str
) -> None:
    """The process does not become ready, and its log names the setting."""
    with pooled(mode, 40, more) as url:
        said = told(project, DATABASE_URL=url).run("run", "python", "-c", ASK)
    assert "set DATABASE_POOLER=true" in said.stdout + said.stderr
