"""The socket of a room: handshake, frames, presence, and close codes."""

import asyncio
import json
import time
from collections import Counter
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from websockets.exceptions import InvalidStatus

from app.examples.chat.live.room_registry import RoomRegistry
from app.main import create_app
from keel.caller import Caller, VerifiedCaller
from keel.services import services_of
from keel.testing.server import Server
from keel.testing.support import eventually
from keel.web.errors import AppError, Forbidden
from tests.examples.chat.api import ChatClient, connected, dial, open_room, protocols, token_of

ALL = frozenset({"chat:read", "chat:write"})


class SignInFirst(AppError):
    """What an identity provider raises."""

    status = HTTPStatus.UNAUTHORIZED


class Callers:
    """Replaces `identify`: a token is a name, and expires when `ends` says so."""

    def __init__(self) -> None:
        self.ends: dict[str, float] = {}
        self.scopes = ALL
        self.seconds: float | None = None
        """How long an identity is valid; then the connection identifies its caller again."""
        self.asked: Counter[str | None] = Counter()

    async def verify_caller(self, _: FastAPI, token: str | None, scopes: Any = ()) -> VerifiedCaller:
        """Return the caller of a token."""
        self.asked[token] += 1
        if token is None or self.ends.get(token, time.time() + 60) <= time.time():
            raise SignInFirst("Sign in first.")
        if not set(scopes) <= self.scopes:
            raise Forbidden("This token does not allow that.")
        expires_at = None if self.seconds is None else time.time() + self.seconds
        return VerifiedCaller(Caller(token.partition(".")[0], self.scopes), expires_at)


@pytest.fixture
def callers(monkeypatch: pytest.MonkeyPatch) -> Callers:
    """Let tokens be names."""
    callers = Callers()
    monkeypatch.setattr("keel.websockets.handshake.verify_caller", callers.verify_caller)
    monkeypatch.setattr("keel.websockets.credentials.verify_caller", callers.verify_caller)
    return callers


async def refused(server: Server, room: str, **options: Any) -> tuple[int, dict[str, Any]]:
    """Return the status and the problem document of a refused handshake."""
    options = {"subprotocols": protocols(await token_of(server, "ada")), **options}
    with pytest.raises(InvalidStatus) as answer:
        async with dial(server, room, **options):
            pass
    response = answer.value.response
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    return response.status_code, json.loads(response.body)


async def test_unknown_room(server: Server, room: str) -> None:
    """An unknown room is 404, an invalid id 422."""
    status, problem = await refused(server, str(uuid4()))
    assert (status, problem["type"]) == (404, "urn:problem:room-not-found")
    status, problem = await refused(server, "nowhere")
    assert (status, problem["type"]) == (422, "urn:problem:invalid-request")


async def test_other_origins_are_refused(server: Server, room: str) -> None:
    """Pages from other sites may not connect; the server's own may."""
    for origin in ("https://evil.example", "null", "http://["):
        status, problem = await refused(server, room, origin=origin)
        assert (status, problem["type"]) == (403, "urn:problem:origin-not-allowed")
    async with connected(server, room, origin=server.url) as ada:
        await ada.send_messages("hello")
        assert await ada.receive(1) == ["hello"]


async def test_subprotocols(server: Server, room: str) -> None:
    """The server selects its preferred protocol, or else `bearer` if offered."""
    token = await token_of(server, "ada") or "none"
    for offered, chosen in (
        (["keel.chat.v1", "bearer", token], "keel.chat.v1"),
        (["keel.chat.v1", "keel.chat.v2", "bearer", token], "keel.chat.v2"),
        (["bearer", token], "bearer"),
    ):
        async with connected(server, room, subprotocols=offered) as ada:
            assert ada.socket.subprotocol == chosen


async def test_token_in_first_frame(server: Server, room: str, callers: Callers) -> None:
    """A client without a token in its handshake may send it in its first frame."""
    async with dial(server, room) as socket:
        ada = ChatClient(socket)
        await ada.send(type="authenticate", token="ada")
        assert (await ada.next("ready"))["you"] == "ada"
        await ada.send_messages("hello")
        assert (await ada.next())["sender"] == "ada"


@pytest.mark.parametrize("frame", [None, '{"type": "ping"}', "nonsense", b"binary"])
async def test_unauthenticated_socket_is_closed(
    server: Server, room: str, callers: Callers, monkeypatch: pytest.MonkeyPatch, frame: str | bytes | None
) -> None:
    """The first frame must be a token, and arrive in time."""
    if frame is None:
        registry = services_of(server.app).websockets
        monkeypatch.setattr(registry, "settings", registry.settings.model_copy(update={"authenticate_seconds": 0.05}))
    async with dial(server, room) as socket:
        if frame is not None:
            await socket.send(frame)
        assert await ChatClient(socket).closed() == 4401


async def test_unknown_room_after_token_in_first_frame(server: Server, room: str, callers: Callers) -> None:
    """A client must authenticate before it learns that a room is unknown."""
    async with dial(server, str(uuid4())) as socket:
        ada = ChatClient(socket)
        await ada.send(type="authenticate", token="ada")
        assert await ada.closed() == 4404


async def test_invalid_token_is_refused(server: Server, room: str, callers: Callers) -> None:
    """An expired token, and one without the scope to read, refuse the handshake."""
    callers.ends["late"] = time.time() - 1
    assert (await refused(server, room, subprotocols=["bearer", "late"]))[0] == 401
    callers.scopes = frozenset()
    assert (await refused(server, room, subprotocols=["bearer", "ada"]))[0] == 403


async def test_expired_token_closes_connection(server: Server, room: str, callers: Callers) -> None:
    """A connection is closed when its token expires."""
    callers.seconds = 0.02
    async with connected(server, room, subprotocols=["bearer", "ada"]) as ada:
        await ada.send_messages("in time")
        assert await ada.receive(1) == ["in time"]
        callers.ends["ada"] = time.time()
        assert await ada.closed() == 4401


async def test_fresh_token(server: Server, room: str, callers: Callers) -> None:
    """A new token keeps the connection open; another caller's token closes it."""
    callers.seconds = 0.02
    async with connected(server, room, subprotocols=["bearer", "ada"]) as ada:
        await ada.send(type="authenticate", token="ada.fresh")
        await eventually(lambda: callers.asked["ada.fresh"] > 1)
        callers.ends["ada"] = time.time()
        asked = callers.asked.copy()
        await eventually(lambda: callers.asked["ada.fresh"] > asked["ada.fresh"] + 1)
        assert callers.asked["ada"] == asked["ada"]
        await ada.send_messages("still here")
        assert await ada.receive(1) == ["still here"]
        await ada.send(type="authenticate", token="eve")
        assert await ada.closed() == 4403


async def test_read_only_token(server: Server, room: str, callers: Callers) -> None:
    """A token with only the scope to read cannot send messages."""
    callers.scopes = frozenset({"chat:read"})
    async with connected(server, room, subprotocols=["bearer", "ada"]) as ada:
        await ada.send_messages("hello")
        error = await ada.next("error")

    assert (error["code"], error["client_id"]) == ("forbidden", "hello")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", None),
        ("nonsense", None),
        ("[]", None),
        ('{"type": "shout"}', None),
        ('{"type": "message", "client_id": "a", "body": ""}', "a"),
        ('{"type": "message", "client_id": "a", "body": "x\\u0000"}', "a"),
        ('{"type": "message", "client_id": "a", "body": "\\ud800"}', None),
        ('{"type": "message", "client_id": "~1", "body": "x"}', None),
        ('{"type": "message", "client_id": "a", "body": "x", "sender": "eve"}', "a"),
        (json.dumps({"type": "message", "client_id": "a", "body": "x" * 4001}), "a"),
    ],
)
async def test_invalid_frames(server: Server, room: str, text: str, named: str | None) -> None:
    """An invalid frame gets an error with its `client_id`, if any; the connection stays open."""
    async with connected(server, room) as ada:
        await ada.socket.send(text)
        error = await ada.next("error")
        await ada.send(type="ping")
        await ada.next("pong")

    assert (error["code"], error.get("client_id")) == ("invalid-frame", named)


@pytest.mark.parametrize(("frame", "code"), [(b"binary", 1003), ("x" * 65_537, 1009), ("é" * 40_000, 1009)])
async def test_frames_that_close_the_connection(server: Server, room: str, frame: str | bytes, code: int) -> None:
    """Binary and oversized frames close the connection."""
    async with connected(server, room) as ada:
        await ada.socket.send(frame)
        assert await ada.closed() == code


async def test_message_rate_exceeded(
    server: Server, room: str, callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames count for the caller over all connections; far above the rate, a connection is closed."""
    registry = services_of(server.app).websockets
    monkeypatch.setattr(registry, "settings", registry.settings.model_copy(update={"message_rate": "2/year"}))
    async with connected(server, room, subprotocols=["bearer", "ada.1"]) as one:
        await one.send_messages("1", "2")
        assert await one.receive(2) == ["1", "2"]
        async with connected(server, room, subprotocols=["bearer", "ada.2"]) as two:
            await two.send_messages("3")
            assert await two.closed() == 4429


async def test_message_rate_slightly_exceeded(server: Server, room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames above the rate are delayed, not lost."""
    registry = services_of(server.app).websockets
    monkeypatch.setattr(registry, "settings", registry.settings.model_copy(update={"message_rate": "3/second"}))
    async with connected(server, room) as ada:
        await ada.send_messages(*map(str, range(5)))
        assert await ada.receive(5) == list(map(str, range(5)))


async def test_too_many_connections(
    server: Server, room: str, callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller has a limited number of connections; other callers are not affected."""
    registry = services_of(server.app).websockets
    await eventually(lambda: not registry._per_caller)  # those of earlier tests are closed there, too
    monkeypatch.setattr(registry, "settings", registry.settings.model_copy(update={"max_per_caller": 1}))
    async with connected(server, room, subprotocols=["bearer", "ada"]):
        assert (await refused(server, room, subprotocols=["bearer", "ada"]))[0] == 429
        async with connected(server, room, subprotocols=["bearer", "eve"]):
            pass


async def test_presence(server: Server, client: AsyncClient, room: str, callers: Callers) -> None:
    """All clients see joins and leaves; a member with two connections counts once."""
    async with connected(server, room, subprotocols=["bearer", "ada"]) as ada:
        async with (
            connected(server, room, subprotocols=["bearer", "eve.1"]) as eve,
            connected(server, room, subprotocols=["bearer", "eve.2"]),
        ):
            while (seen := await ada.next("presence"))["members"] != ["ada", "eve"]:
                pass
            assert seen["count"] == 2
            while (await eve.next("presence"))["members"] != ["ada", "eve"]:
                pass
        while (await ada.next("presence"))["members"] != ["ada"]:
            pass


async def test_empty_room_is_closed(server: Server, room: str) -> None:
    """When the last client leaves, the process frees the room."""
    registry = services_of(server.app).websockets
    rooms: RoomRegistry = server.state["chat_rooms"]
    async with connected(server, room):
        assert len(rooms._rooms) == len(registry.connections) == 1
    await eventually(lambda: not (rooms._rooms or rooms._closing or registry.connections or registry._per_caller))


async def test_shutdown(app: FastAPI, client: AsyncClient) -> None:
    """At shutdown, connections are closed with 1012."""
    room = await open_room(client)
    with Server(create_app()) as server:
        async with connected(server, room) as ada:
            await ada.send_messages("last words")
            await ada.receive(1)
            stopping = asyncio.create_task(asyncio.to_thread(server.stop))
            assert await ada.closed() == 1012
            await stopping


async def test_handshake_while_draining(server: Server, room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopping process refuses handshakes."""
    monkeypatch.setattr(services_of(server.app).websockets, "draining", True)
    assert (await refused(server, room))[0] == 503


async def test_unexpected_errors(server: Server, room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client gets a code, and no details."""

    async def broken(*_: object) -> None:
        raise RuntimeError("a secret")

    async with connected(server, room) as ada:
        monkeypatch.setattr("app.examples.chat.live.connection.RoomConnection.receive", broken)
        await ada.send_messages("hello")
        assert await ada.closed() == 1011
