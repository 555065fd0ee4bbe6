"""A PostgreSQL server that becomes unavailable, recovers, or loses a connection at the worst moment."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import URL, make_url, text

from keel.db.database import Database
from keel.dependencies import SessionDep
from keel.testing.support import PATIENCE, running
from keel.tests.application import create_app
from keel.tests.postgresql.fixtures import dsn
from keel.tests.widgets.api import WIDGETS, create, titles


class Proxy:
    """Forwards connections between application and server, and can cut them."""

    def __init__(self, target: URL) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def open(self) -> None:
        """Forward connections."""
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Cut every connection and accept no new ones."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        await asyncio.sleep(0)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await self._upstream()
        self._writers |= {writer, upstream_writer}
        await asyncio.gather(self._pump(reader, upstream_writer), self._pump(upstream_reader, writer))

    async def _upstream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        port = self._target.port or 5432
        if directory := self._target.query.get("host"):
            return await asyncio.open_unix_connection(f"{directory}/.s.PGSQL.{port}")
        return await asyncio.open_connection(self._target.host, port)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    """Return a proxy that forwards connections."""
    proxy = Proxy(make_url(database_url))
    await proxy.open()
    yield proxy
    await proxy.cut()


@pytest.fixture
def behind_proxy(app: FastAPI, proxy: Proxy, database_url: str, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """Return an application that connects to its database through the proxy."""
    url = make_url(database_url).difference_update_query(["host"]).set(host="127.0.0.1", port=proxy.port)
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    return create_app()


async def test_database_outage_and_recovery(behind_proxy: FastAPI, proxy: Proxy) -> None:
    """Callers get 503, readiness fails, liveness does not, and nothing needs a restart."""
    async with running(behind_proxy) as client:
        widget = await create(client, title="before")

        await proxy.cut()
        unavailable = [
            await client.get(f"{WIDGETS}/{widget['id']}"),
            await client.get(WIDGETS),
            await client.post(WIDGETS, json={"title": "meanwhile"}),
            await client.get("/readyz"),
        ]
        alive = await client.get("/healthz")

        await proxy.open()
        back = [await client.get("/readyz"), await client.get(f"{WIDGETS}/{widget['id']}")]
        await create(client, title="after")

        assert [answer.status_code for answer in unavailable] == [503] * 4
        assert all(answer.headers["Retry-After"] for answer in unavailable)
        assert alive.status_code == 200
        assert [answer.status_code for answer in back] == [200, 200]
        assert await titles(client) == ["after", "before"]


async def test_restart_between_two_requests_is_not_noticed(
    app: FastAPI, client: AsyncClient, database: Database, server_url: URL
) -> None:
    """Pooled connections closed by the server are replaced, for reading and writing."""
    widgets = await asyncio.gather(*(create(client) for _ in range(5)))
    admin = await asyncpg.connect(dsn(server_url))
    ours = "FROM pg_stat_activity WHERE datname = $1 AND application_name = ''"
    await admin.execute(f"SELECT pg_terminate_backend(pid) {ours}", database.writer.url.database)
    async with asyncio.timeout(PATIENCE):
        # Asking the server to wait takes longer: it looks ten times a second, for one connection after the other.
        while await admin.fetchval(f"SELECT count(*) {ours}", database.writer.url.database):
            await asyncio.sleep(0.01)
    await admin.close()
    await asyncio.sleep(0.05)

    for widget in widgets:
        assert (await client.get(f"{WIDGETS}/{widget['id']}")).status_code == 200
        assert (await client.patch(f"{WIDGETS}/{widget['id']}", json={"title": "t"})).status_code == 200


async def test_connection_lost_at_the_commit(app: FastAPI, database: Database, server_url: URL) -> None:
    """No client gets a success if the commit failed."""
    other = create_app()

    @other.post("/lost", status_code=201)
    async def lost(session: SessionDep) -> None:
        await session.execute(text("INSERT INTO widget_labels (id, name) VALUES (gen_random_uuid(), 'lost')"))
        pid = await session.scalar(text("SELECT pg_backend_pid()"))
        admin = await asyncpg.connect(dsn(server_url))
        await admin.execute("SELECT pg_terminate_backend($1, 1000)", pid)
        await admin.close()

    async with running(other) as client:
        answer = await client.post("/lost")

    assert answer.status_code == 503
    assert await database.read.scalar(text("SELECT count(*) FROM widget_labels")) == 0


async def test_server_that_refuses_connections(
    app: FastAPI, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that refuses connections is an outage too, and the log says why."""
    url = make_url(database_url).set(database="no_such_database").render_as_string(hide_password=False)
    monkeypatch.setenv("DATABASE_URL", url)

    async with running(create_app()) as client:
        assert (await client.get(WIDGETS)).status_code == 503
        assert (await client.post(WIDGETS, json={"title": "t"})).status_code == 503


async def test_statement_timeout(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """No request waits forever; one that times out gets `Retry-After`."""
    monkeypatch.setenv("DATABASE_STATEMENT_TIMEOUT", "0.1")
    other = create_app()

    @other.post("/slow")
    async def slow(session: SessionDep) -> None:
        await session.execute(text("SELECT pg_sleep(5)"))

    async with running(other, signed_in=False) as client:
        assert (await client.post("/slow")).status_code == 503


async def test_read_only_server_after_a_failover(client: AsyncClient, database: Database, database_url: str) -> None:
    """Writes get 503 for as long as it lasts, and no connection to the standby is kept."""
    name = make_url(database_url).database
    connection = await asyncpg.connect(dsn(make_url(database_url)))
    try:
        await connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        await database.writer.dispose()
        refused = await client.post(WIDGETS, json={"title": "lost"})
        read = await client.get(WIDGETS)
    finally:
        await connection.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        await connection.close()

    assert (refused.status_code, read.status_code) == (503, 200)
    await create(client, title="stored")
    assert await titles(client) == ["stored"]
