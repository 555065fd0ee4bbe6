"""Open connections: tokens that expire, limits, errors, and how they are closed."""

import asyncio
import json
import time
from contextlib import AsyncExitStack

import pytest
from fastapi import FastAPI

from keel.caller import Caller, VerifiedCaller
from keel.testing.server import Server
from keel.testing.support import PATIENCE, eventually
from keel.tests.websockets.conftest import Callers, Unauthenticated, echo_app
from keel.tests.websockets.echo import EchoConnection, connected
from keel.websockets.credentials import Credentials
from keel.websockets.frames import CloseCode
from keel.websockets.registry import ConnectionRegistry


async def test_ping(echo_server: Server) -> None:
    """A ping gets a pong."""
    async with connected(echo_server) as client:
        await client.send(type="ping")
        await client.next("pong")


async def test_nothing_is_left_of_a_closed_connection(echo_server: Server, registry: ConnectionRegistry) -> None:
    """The endpoint's hooks are called, and the process keeps nothing."""
    async with connected(echo_server) as client:
        await client.echoed("hi")
        (connection,) = registry.connections
        assert isinstance(connection, EchoConnection)
        assert connection.events == ["opened"]
    await eventually(lambda: not (registry.connections or registry._per_caller))

    assert connection.events == ["opened", "closed"]
    connection.send("too late")
    connection.close(CloseCode.INTERNAL_ERROR)
    assert len(connection.queue) == 0


async def test_expired_token_closes_connection(echo_server: Server, callers: Callers) -> None:
    """A connection is closed when its token expires."""
    callers.seconds = 0.02
    async with connected(echo_server, "ada") as client:
        await client.echoed("in time")
        callers.ends["ada"] = time.time()
        assert await client.closed() == 4401


async def test_fresh_token(echo_server: Server, callers: Callers) -> None:
    """A new token keeps the connection open; another caller's token closes it."""
    callers.seconds = 0.02
    async with connected(echo_server, "ada") as client:
        await client.send(type="authenticate", token="ada.fresh")
        await eventually(lambda: callers.asked["ada.fresh"] > 1)
        callers.ends["ada"] = time.time()
        asked = callers.asked.copy()
        await eventually(lambda: callers.asked["ada.fresh"] > asked["ada.fresh"] + 1)
        assert callers.asked["ada"] == asked["ada"]
        assert (await client.echoed("still here"))["caller"] == "ada"
        await client.send(type="authenticate", token="eve")
        assert await client.closed() == 4403


async def test_fresh_token_just_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new token counts even if it arrives while the old one is found to have expired."""
    checking, expired, closed = asyncio.Event(), asyncio.Event(), list[CloseCode]()

    async def verify_caller(_: FastAPI, token: str | None, __: object = ()) -> VerifiedCaller:
        if token == "old":
            checking.set()
            await expired.wait()
            raise Unauthenticated("Sign in first.")
        return VerifiedCaller(Caller("ada"))

    monkeypatch.setattr("keel.websockets.credentials.verify_caller", verify_caller)
    credentials = Credentials(FastAPI(), VerifiedCaller(Caller("ada"), time.time()), "old", (), closed.append)
    await checking.wait()
    await credentials.renew("fresh")
    expired.set()
    await asyncio.wait(credentials.cancel())

    assert closed == []


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"type": "shout"}', '{"type": "say"}'])
async def test_invalid_frames(echo_server: Server, text: str) -> None:
    """An invalid frame gets an error; the connection stays open."""
    async with connected(echo_server) as client:
        await client.socket.send(text)
        error = await client.next("error")
        await client.echoed("hi")

    assert error["code"] == "invalid-frame"


@pytest.mark.parametrize(("frame", "code"), [(b"binary", 1003), ("x" * 65_537, 1009), ("é" * 40_000, 1009)])
async def test_frames_that_close_the_connection(echo_server: Server, frame: str | bytes, code: int) -> None:
    """Binary and oversized frames close the connection."""
    async with connected(echo_server) as client:
        await client.socket.send(frame)
        assert await client.closed() == code


async def test_unexpected_errors(echo_server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    """The client gets a code and no details; the log has them."""
    async with connected(echo_server) as client:
        await client.send(type="say", text="bug")
        assert await client.closed() == 1011

    assert "a secret" in capfd.readouterr().out


async def test_application_errors(echo_server: Server) -> None:
    """An `AppError` closes the connection with its code."""
    async with connected(echo_server) as client:
        await client.send(type="say", text="missing")
        assert await client.closed() == 4404


async def test_message_rate_exceeded(
    echo_server: Server, registry: ConnectionRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames count for the caller over all connections; far above the rate, a connection is closed."""
    monkeypatch.setattr(registry, "settings", registry.settings.model_copy(update={"message_rate": "2/year"}))
    async with connected(echo_server, "joe.1") as one:
        await one.echoed("1")
        await one.echoed("2")
        async with connected(echo_server, "joe.2") as two:
            await two.send(type="say", text="3")
            assert await two.closed() == 4429


async def test_message_rate_slightly_exceeded(
    echo_server: Server, registry: ConnectionRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames above the rate are delayed, not lost."""
    monkeypatch.setattr(registry, "settings", registry.settings.model_copy(update={"message_rate": "3/second"}))
    async with connected(echo_server, "mary") as client:
        for number in range(5):
            await client.send(type="say", text=str(number))
        assert [(await client.next())["text"] for _ in range(5)] == list("01234")


async def test_slow_client_is_disconnected(
    echo_server: Server, registry: ConnectionRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that does not read is disconnected once its queue is full, without waiting for it."""
    monkeypatch.setattr("keel.websockets.connection.CLOSE_SECONDS", 0.05)
    monkeypatch.setattr(registry, "settings", registry.settings.model_copy(update={"send_queue_size": 16}))
    async with AsyncExitStack() as stack:
        with echo_server.small_buffers():
            client = await stack.enter_async_context(connected(echo_server))
        client.socket.transport.pause_reading()
        frame = json.dumps({"type": "say", "text": "x" * 5000})
        async with asyncio.timeout(PATIENCE):
            while registry.connections:
                await client.socket.send(frame)
                await asyncio.sleep(0)
        client.socket.transport.abort()


async def test_shutdown(environment: None) -> None:
    """At shutdown, connections are closed with 1012, and the server does not wait for clients."""
    with Server(echo_app()) as server:
        async with connected(server) as client:
            await client.echoed("last words")
            stopping = asyncio.create_task(asyncio.to_thread(server.stop))
            assert await client.closed() == 1012
            await stopping
