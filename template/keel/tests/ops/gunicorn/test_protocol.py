"""Limits on clients of a worker: large heads, slow requests, unread responses, and connections."""

import asyncio
import gc
import signal
import socket
import struct
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from uvicorn import Config

from keel.ops.gunicorn import protocol
from keel.ops.gunicorn.protocol import LimitedProtocol, Phase
from keel.ops.gunicorn.worker import GracefulServer
from keel.testing.support import PATIENCE, eventually

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"
PROBE = GET.replace(b"/ ", b"/healthz ", 1)
LONG = b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n"
STAY = b"GET /stay HTTP/1.1\r\nHost: localhost\r\n\r\n"

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def answer(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    """Read the body, then respond with 204; `/stay` never ends, and `/long` is 32 MiB."""
    while scope["path"] != "/stay" and (message := await receive()).get("more_body"):
        if message["type"] == "http.disconnect":
            return
    status = 200 if scope["path"] in {"/long", "/stay"} else 204
    await send({"type": "http.response.start", "status": status, "headers": []})
    for _ in range(500 if scope["path"] == "/long" else 0):
        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
    if scope["path"] == "/stay":
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def server() -> AsyncIterator[GracefulServer]:
    """Return a server that accepts two connections at a time."""
    config = Config(answer, http=LimitedProtocol, limit_concurrency=2, lifespan="off", log_config=None)
    config.load()
    created = GracefulServer(config, on_ready=lambda: None, awaits_successors=lambda: False)
    # Uvicorn and the server handle the signal, and put it back late.
    before = signal.getsignal(signal.SIGTERM)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(created.serve(sockets=[listener]))
        await eventually(lambda: created.started)
        yield created
        for connection in list(created.server_state.connections):
            assert isinstance(connection, LimitedProtocol)
            connection.transport.abort()
        created.force_exit = created.should_exit = True
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, PATIENCE)
    signal.signal(signal.SIGTERM, before)


async def connect(server: GracefulServer, sent: bytes = b"") -> Client:
    """Open a connection and send something."""
    reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname())
    writer.write(sent)
    await writer.drain()
    return reader, writer


def connections(server: GracefulServer, phase: Phase) -> list[LimitedProtocol]:
    """Return the open connections in a phase."""
    return [
        each for each in server.server_state.connections if isinstance(each, LimitedProtocol) and each.phase is phase
    ]


def let_pass(server: GracefulServer, seconds: float) -> None:
    """Check the connections as the server would after some time."""
    now = asyncio.get_running_loop().time() + seconds
    for connection in list(server.server_state.connections):
        assert isinstance(connection, LimitedProtocol)
        connection.check(now)


async def status(client: Client) -> int:
    """Return the status of a response; 0 if the connection was closed without one."""
    line = await asyncio.wait_for(client[0].readline(), PATIENCE)
    return int(line.split()[1]) if line else 0


async def closed(client: Client) -> bool:
    """Return whether the server closes a connection, whatever it sends first."""
    with suppress(ConnectionError):
        await asyncio.wait_for(client[0].read(), PATIENCE)
    client[1].close()
    return True


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nX-A: " + b"a" * 200_000,
        b"GET / HTTP/1.1\r\nX-A: " + b"a" * 66_000,
        b"GET / HTTP/1.1\r\n" + b"X-A: a\r\n" * 20_000,
        b"GET /" + b"a" * 200_000,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 70_000 + b"\r\n\r\n",
    ],
    ids=["one header without end", "a part of a header", "many headers", "a long path", "a whole head"],
)
async def test_large_head(server: GracefulServer, head: bytes) -> None:
    """It gets 431 as soon as it exceeds the limit, and the connection is closed."""
    client = await connect(server, head)

    assert await status(client) == 431
    assert await closed(client)


async def test_head_within_the_limit(server: GracefulServer) -> None:
    """It may arrive in parts, and the limit applies to each head of a connection."""
    client = await connect(server)
    for _ in range(3):
        for part in (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ", b"a" * 30_000, b"a" * 30_000, b"\r\n\r\n"):
            client[1].write(part)
            await client[1].drain()
            await asyncio.sleep(0)
        assert await status(client) == 204
        await client[0].readuntil(b"\r\n\r\n")
    client[1].close()


@pytest.mark.parametrize(
    ("sent", "phase", "seconds"),
    [
        (GET[:20], Phase.HEAD, protocol.HEAD_SECONDS),
        (POST + b"part", Phase.BODY, protocol.BODY_SECONDS),
    ],
)
async def test_slow_request(server: GracefulServer, sent: bytes, phase: Phase, seconds: float) -> None:
    """A head or body that takes too long gets 408, and not before."""
    client = await connect(server, sent)
    await eventually(lambda: connections(server, phase))
    let_pass(server, seconds / 2)
    assert connections(server, phase)
    let_pass(server, seconds + 1)

    assert await status(client) == 408
    assert await closed(client)


async def test_silent_connection(server: GracefulServer) -> None:
    """It is closed like an idle keep-alive connection."""
    client = await connect(server)
    await eventually(lambda: connections(server, Phase.REQUEST))
    let_pass(server, server.config.timeout_keep_alive + 1)

    assert await status(client) == 0
    assert await closed(client)


async def test_pipelined_requests(server: GracefulServer) -> None:
    """A few may be pipelined; with more the connection is closed, and no further one is parsed."""
    patient = await connect(server, GET * protocol.MAX_PIPELINED)
    assert [await next_status(patient) for _ in range(protocol.MAX_PIPELINED)] == [204] * protocol.MAX_PIPELINED
    impatient = await connect(server, STAY + GET * (protocol.MAX_PIPELINED + 1))

    assert await closed(impatient)
    patient[1].close()


@pytest.mark.parametrize("sent", [GET, GET[:20], b"no request"], ids=["whole", "begun", "nonsense"])
async def test_request_pipelined_behind_a_stream(server: GracefulServer, sent: bytes) -> None:
    """The stream ends with its connection; nothing else is written into its response."""
    reader, writer = await connect(server, STAY)
    assert await reader.readuntil(b"x\r\n")
    writer.write(sent)
    await eventually(lambda: not connections(server, Phase.ANSWER) or connections(server, Phase.ANSWER)[0].pipeline)
    let_pass(server, protocol.HEAD_SECONDS + 1)
    for connection in connections(server, Phase.ANSWER):
        connection.transport.abort()

    await eventually(lambda: not server.server_state.tasks)
    assert b"HTTP/1.1" not in await reader.read()
    writer.close()


async def next_status(client: Client) -> int:
    """Return the status of a response without a body, and read the rest of it."""
    answered = await status(client)
    await client[0].readuntil(b"\r\n\r\n")
    return answered


async def test_reset_connection(server: GracefulServer) -> None:
    """A connection that its client resets after a response is freed completely."""
    client = await connect(server, GET)
    assert await next_status(client) == 204
    (connection,) = await found(lambda: connections(server, Phase.REQUEST))
    connection_gone = weakref.ref(connection)
    reset = struct.pack("ii", 1, 0)
    client[1].get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    client[1].transport.abort()
    await eventually(lambda: not server.server_state.connections)
    del connection
    gc.collect()

    assert connection_gone() is None


async def test_quick_requests_outlive_the_limits(server: GracefulServer) -> None:
    """Finished requests do not count towards the limits."""
    client = await connect(server, POST + b"0123456789")
    assert await status(client) == 204
    await eventually(lambda: connections(server, Phase.REQUEST))
    client[1].write(STAY)
    await eventually(lambda: connections(server, Phase.ANSWER))
    let_pass(server, 3600)

    assert connections(server, Phase.ANSWER)
    client[1].close()


async def test_unread_response(server: GracefulServer) -> None:
    """A client that does not read is disconnected, and its buffers are freed."""
    reader, writer = await connect(server, LONG)
    (connection,) = await found(lambda: [each for each in connections(server, Phase.ANSWER) if each.flow.write_paused])
    await settled(connection)
    let_pass(server, 0)
    assert connections(server, Phase.ANSWER)
    let_pass(server, protocol.UNREAD_SECONDS + 1)

    await eventually(lambda: not server.server_state.connections)
    writer.transport.abort()
    assert reader


async def found(look: Callable[[], list[LimitedProtocol]]) -> list[LimitedProtocol]:
    """Wait until something is found."""
    await eventually(look)
    return look()


async def settled(connection: LimitedProtocol) -> None:
    """Wait until the operating system accepts no more of a response."""
    before = -1
    while (size := connection.transport.get_write_buffer_size()) != before:
        before = size
        await asyncio.sleep(0.05)


async def test_one_connection_too_many(server: GracefulServer) -> None:
    """The connection that has waited longest for its client is closed; those being answered stay."""
    busy = await connect(server, STAY)
    assert await status(busy) == 200
    oldest = await connect(server, GET[:20])
    await eventually(lambda: connections(server, Phase.HEAD))
    newest = await connect(server, GET)

    assert await status(newest) == 204
    assert await closed(oldest)
    assert connections(server, Phase.ANSWER)
    for client in (busy, newest):
        client[1].close()


async def test_all_connections_are_busy(server: GracefulServer) -> None:
    """Probes are still answered; other requests get 503."""
    busy = [await connect(server, STAY) for _ in range(2)]
    assert [await status(client) for client in busy] == [200, 200]
    refused = await connect(server, GET)
    assert await status(refused) == 503
    assert await closed(refused)
    probe = await connect(server, PROBE)

    assert await status(probe) == 204
    for client in (*busy, probe):
        client[1].close()


async def test_probes_behind_a_path_prefix() -> None:
    """Probes are recognized without the prefix that the server prepends."""
    statuses = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "more_body": False}

    for path in ("/shop/healthz", "/shop/notes"):
        scope = {"type": "http", "method": "GET", "path": path, "root_path": "/shop", "headers": []}
        await protocol.only_probes(answer)(scope, receive, send)

    assert statuses == [204, 503]
