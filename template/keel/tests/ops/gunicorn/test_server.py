"""A worker's server, in the test process: SIGTERM, reloads, and connections at shutdown."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from uvicorn import Config

from keel.ops.gunicorn.worker import GracefulServer
from keel.testing.support import PATIENCE, eventually

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def answer(scope: Any, _: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    """Respond with 204."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class Successors:
    """The state of a reload, as reported to the server."""

    ready = 0
    awaited = False


@pytest.fixture
def successors() -> Successors:
    """Return the state of a reload; there is none yet."""
    return Successors()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Return a listening socket."""
    with socket.create_server(("127.0.0.1", 0)) as created:
        created.setblocking(False)  # noqa: FBT003 - its name
        yield created


@pytest.fixture
def server(successors: Successors) -> GracefulServer:
    """Return a server that does not listen yet."""

    def on_ready() -> None:
        successors.ready += 1

    config = Config(answer, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=int(PATIENCE))
    return GracefulServer(config, on_ready=on_ready, awaits_successors=lambda: successors.awaited)


@pytest.fixture
async def serving(server: GracefulServer, listener: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    """Return the task of the running server."""
    # Uvicorn raises the signal again after it has stopped.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await eventually(lambda: server.started)
    yield task
    server.force_exit = server.should_exit = True
    with suppress(asyncio.CancelledError):
        await asyncio.wait_for(task, PATIENCE)
    signal.signal(signal.SIGTERM, before)


async def connect(listener: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection."""
    return await asyncio.open_connection(*listener.getsockname())


async def ask(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bytes:
    """Send a request; return the head of the response."""
    reader, writer = connection
    writer.write(REQUEST)
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)


async def ended(task: asyncio.Task[None]) -> bool:
    """Return whether the server stops."""
    await asyncio.wait([task], timeout=PATIENCE)
    return task.done()


async def test_sigterm_stops_the_server(serving: asyncio.Task[None], successors: Successors) -> None:
    """Without a reload it stops at once; the worker was reported as ready when it began to serve."""
    assert successors.ready == 1
    signal.raise_signal(signal.SIGTERM)

    assert await ended(serving)


async def test_replaced_worker_keeps_serving(
    serving: asyncio.Task[None], successors: Successors, listener: socket.socket
) -> None:
    """It stops only once its successors serve."""
    successors.awaited = True
    signal.raise_signal(signal.SIGTERM)
    connection = await connect(listener)
    assert (await ask(connection)).startswith(b"HTTP/1.1 204")
    assert not serving.done()
    connection[1].close()
    successors.awaited = False

    assert await ended(serving)


async def test_second_signal_stops_at_once(serving: asyncio.Task[None], successors: Successors) -> None:
    """Even if the successors do not serve yet."""
    successors.awaited = True
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)

    assert await ended(serving)


async def test_successors_that_never_start(
    serving: asyncio.Task[None], successors: Successors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are awaited for a limited time."""
    monkeypatch.setattr("keel.ops.gunicorn.worker.SUCCESSOR_SECONDS", 0.0)
    successors.awaited = True
    signal.raise_signal(signal.SIGTERM)

    assert await ended(serving)


@pytest.mark.parametrize("used", [True, False])
async def test_connected_clients_are_answered(
    server: GracefulServer,
    serving: asyncio.Task[None],
    listener: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    *,
    used: bool,
) -> None:
    """A request that arrives during the shutdown, on an old or new connection, is answered; then it is closed."""
    monkeypatch.setattr("keel.ops.gunicorn.worker.DRAIN_SECONDS", PATIENCE if used else 0.0)
    monkeypatch.setattr("keel.ops.gunicorn.worker.FIRST_REQUEST_SECONDS", 0.0 if used else PATIENCE)
    connection = await connect(listener)
    if used:
        assert b"connection: close" not in (await ask(connection)).lower()
    await eventually(lambda: bool(server.server_state.connections))
    signal.raise_signal(signal.SIGTERM)
    await eventually(lambda: not server.servers[0].is_serving())
    head = await ask(connection)

    assert head.startswith(b"HTTP/1.1 204")
    assert b"connection: close" in head.lower()
    assert await connection[0].read() == b""
    assert await ended(serving)
    connection[1].close()


async def test_silent_clients_do_not_delay_shutdown(
    server: GracefulServer, serving: asyncio.Task[None], listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have limited time to send a request."""
    monkeypatch.setattr("keel.ops.gunicorn.worker.DRAIN_SECONDS", 0.0)
    monkeypatch.setattr("keel.ops.gunicorn.worker.FIRST_REQUEST_SECONDS", 0.0)
    reader, writer = await connect(listener)
    await eventually(lambda: bool(server.server_state.connections))
    signal.raise_signal(signal.SIGTERM)

    assert await ended(serving)
    assert await reader.read() == b""
    writer.close()


async def test_accept_queue_is_answered(server: GracefulServer, listener: socket.socket) -> None:
    """Connections accepted by the kernel, but not by the server, are not reset."""
    before = signal.getsignal(signal.SIGTERM)
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup([listener])
    signal.signal(signal.SIGTERM, before)
    # The event loop does not run in between, so nothing accepts them.
    waiting = [socket.create_connection(listener.getsockname(), timeout=PATIENCE) for _ in range(3)]
    for connection in waiting:
        connection.sendall(REQUEST)
    await server.shutdown([listener])

    for connection in waiting:
        with connection:
            assert connection.recv(65536).startswith(b"HTTP/1.1 204")
