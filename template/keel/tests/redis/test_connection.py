"""The circuit breaker: only requests in progress when an outage begins are delayed."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from keel.redis.client import Client, connect
from keel.redis.connection import GuardedConnection, RedisUnavailable
from keel.redis.settings import RedisSettings
from keel.testing.support import PATIENCE, eventually
from keel.tests.redis.server import Server

TIMEOUT = 0.5
CALLERS = 400


@pytest.fixture
async def connection(own_server: Server) -> AsyncIterator[GuardedConnection]:
    """Return a connection to a server that the test may pause and kill."""
    settings = RedisSettings.model_validate({"url": own_server.url, "pool_size": 4})
    connection = GuardedConnection(connect(settings), timeout=settings.timeout, pauses=(0.01, 0.02))
    connection.open()
    yield connection
    await connection.close()


async def recovered(connection: GuardedConnection) -> None:
    """Wait until the circuit is closed."""
    await eventually(lambda: not connection.unavailable)


async def test_unresponsive_server(own_server: Server) -> None:
    """Concurrent commands wait for about one timeout, later ones not at all; the circuit closes when the server answers."""
    # The client has the same limit: before Python 3.12 it may swallow the cancellation.
    settings = RedisSettings.model_validate({"url": own_server.url, "pool_size": 4, "timeout": TIMEOUT})
    connection = GuardedConnection(connect(settings), timeout=TIMEOUT, pauses=(0.01, 0.02))
    connection.open()
    own_server.pause()
    started = time.monotonic()
    outcomes = await asyncio.gather(*(connection.ping() for _ in range(CALLERS)), return_exceptions=True)
    waited = time.monotonic() - started
    with pytest.raises(RedisUnavailable):
        # Fails without suspending.
        connection.ping().send(None)
    own_server.resume()

    assert {type(outcome) for outcome in outcomes} == {RedisUnavailable}
    # One pool of connections after the other would take 100 timeouts.
    assert waited < 50 * TIMEOUT
    await recovered(connection)
    await connection.close()


async def test_killed_server(connection: GuardedConnection, own_server: Server) -> None:
    """A crash opens the circuit; after a restart of the server it closes, and callbacks run before it does."""
    states = []

    async def catch_up() -> None:
        states.append(connection.unavailable)
        await connection.run_unguarded(lambda client: client.set("caught", "up"))

    connection.on_reconnect(catch_up)
    await connection.ping()
    own_server.kill()
    with pytest.raises(RedisUnavailable):
        await connection.ping()
    assert connection.unavailable
    own_server.start()
    await recovered(connection)

    assert states[0]
    assert await connection.run(lambda client: client.get("caught")) == b"up"


async def test_commands_refused_during_the_callbacks(connection: GuardedConnection) -> None:
    """They are replayed by the second call; otherwise they would stay pending until the next outage."""
    pending, replayed = ["first"], []

    async def breaking(_: Client) -> None:
        raise RedisConnectionError

    async def catch_up() -> None:
        while pending:
            replayed.append(pending.pop())
            await connection.run_unguarded(lambda client: client.ping())
        if connection.unavailable:
            with pytest.raises(RedisUnavailable):
                await connection.ping()
            pending.append("last")

    connection.on_reconnect(catch_up)
    with pytest.raises(RedisUnavailable):
        await connection.run(breaking)

    await eventually(lambda: "last" in replayed and not pending)


async def test_restart_between_commands(connection: GuardedConnection, own_server: Server) -> None:
    """Pooled connections that the server has closed are replaced without an error."""
    await asyncio.gather(*(connection.ping() for _ in range(4)))
    own_server.kill()
    own_server.start()

    await connection.ping()
    assert not connection.unavailable


async def test_connection_closed_during_a_write(connection: GuardedConnection, own_server: Server) -> None:
    """The RuntimeError that uvloop raises counts as an outage; any other is a bug."""
    pytest.importorskip("uvloop")
    tries = 0

    async def cut_off(_: Client) -> None:
        nonlocal tries
        tries += 1
        _reader, writer = await asyncio.open_connection("127.0.0.1", own_server.port)
        writer.transport.abort()
        await writer.wait_closed()
        writer.writelines([b"PING"])

    async def faulty(_: Client) -> None:
        raise RuntimeError("Something else.")

    with pytest.raises(RuntimeError):
        await connection.run(faulty)
    assert not connection.unavailable
    with pytest.raises(RedisUnavailable):
        await connection.run(cut_off)
    assert tries == 3
    await recovered(connection)


async def test_only_idempotent_commands_are_retried(connection: GuardedConnection) -> None:
    """If the connection breaks, the outcome of a command is unknown."""
    tries = 0

    async def breaking(_: Client) -> None:
        nonlocal tries
        tries += 1
        raise RedisConnectionError

    for idempotent, expected in [(False, 1), (True, 3)]:
        tries = 0
        with pytest.raises(RedisUnavailable):
            await connection.run(breaking, idempotent=idempotent)
        assert tries == expected
        await recovered(connection)


async def test_full_server(connection: GuardedConnection) -> None:
    """A server without memory rejects writes and still answers reads: the circuit stays closed."""
    await connection.run(lambda client: client.set("a", "b"))
    await connection.run(lambda client: client.config_set("maxmemory", 1))
    with pytest.raises(RedisUnavailable):
        await connection.run(lambda client: client.set("a", "c"))

    assert not connection.unavailable
    assert await connection.run(lambda client: client.get("a")) == b"b"


async def test_rejected_command(connection: GuardedConnection) -> None:
    """A command error is logged; the circuit stays closed."""
    with pytest.raises(RedisUnavailable):
        await connection.run(lambda client: client.execute_command("NO-SUCH-COMMAND"))

    assert not connection.unavailable


async def test_more_commands_than_connections(own_server: Server) -> None:
    """The pool is bounded; commands wait for a connection."""
    settings = RedisSettings.model_validate({"url": own_server.url, "pool_size": 4})
    connection = GuardedConnection(connect(settings), timeout=settings.timeout)
    connection.open()
    assert await asyncio.gather(*(connection.run(lambda client: client.echo("x")) for _ in range(50))) == [b"x"] * 50
    clients = await connection.run(lambda client: client.client_list())
    await connection.close()
    assert len(clients) <= 5


async def test_cancelled_caller(connection: GuardedConnection) -> None:
    """A cancelled task ends even if the client swallows the cancellation, as it may before Python 3.12."""

    async def swallowing(_: Client) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async def caller() -> None:
        await connection.run(swallowing)
        await asyncio.Event().wait()

    task = asyncio.create_task(caller())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=PATIENCE)

    assert task.cancelled()
    await connection.ping()


async def test_closed_connection(connection: GuardedConnection) -> None:
    """After `close` commands fail; the connection may be opened again."""
    await connection.close()
    with pytest.raises(RedisUnavailable):
        await connection.ping()
    connection.open()
    await connection.ping()


async def test_closing_during_an_outage(connection: GuardedConnection, own_server: Server) -> None:
    """Shutdown does not wait for an unavailable server."""
    own_server.kill()
    with pytest.raises(RedisUnavailable):
        await connection.ping()
    await connection.close()
