"""The handshake, what a client may send, presence, and how a connection ends."""

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

from app.examples.chat.credentials import Credentials
from app.examples.chat.frames import Close
from app.main import create_app
from keel.caller import Caller, VerifiedCaller
from keel.testing.server import Server
from keel.testing.support import eventually
from keel.web.errors import AppError, Forbidden
from tests.examples.chat.api import Talker, dialled, entered, open_room, protocols, token_of

ALL = frozenset({"chat:read", "chat:write"})


class SignInFirst(AppError):
    """Stands for what an identity provider raises."""

    status = HTTPStatus.UNAUTHORIZED


class People:
    """Stands in for whatever identifies callers: a token is a name, which ends when it is told to."""

    def __init__(self) -> None:
        self.ends: dict[str, float] = {}
        self.scopes = ALL
        self.seconds: float | None = None
        """How long a connection may rely on what it was told; then it asks again."""
        self.asked: Counter[str | None] = Counter()

    async def verify_caller(self, _: FastAPI, token: str | None, scopes: Any = ()) -> VerifiedCaller:
        """Return whose token it is."""
        self.asked[token] += 1
        if token is None or self.ends.get(token, time.time() + 60) <= time.time():
            raise SignInFirst("Sign in first.")
        if not set(scopes) <= self.scopes:
            raise Forbidden("This token does not allow that.")
        expires_at = None if self.seconds is None else time.time() + self.seconds
        return VerifiedCaller(Caller(token.partition(".")[0], self.scopes), expires_at)


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch) -> People:
    """Let callers be identified by name."""
    people = People()
    monkeypatch.setattr("app.examples.chat.socket.verify_caller", people.verify_caller)
    monkeypatch.setattr("app.examples.chat.credentials.verify_caller", people.verify_caller)
    return people


async def refused(server: Server, room: str, **options: Any) -> tuple[int, dict[str, Any]]:
    """Return how a handshake is refused."""
    options = {"subprotocols": protocols(await token_of(server, "ada")), **options}
    with pytest.raises(InvalidStatus) as answer:
        async with dialled(server, room, **options):
            pass
    response = answer.value.response
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    return response.status_code, json.loads(response.body)


async def test_no_such_room(server: Server, room: str) -> None:
    """Nobody enters what is not there."""
    status, problem = await refused(server, str(uuid4()))
    assert (status, problem["type"]) == (404, "urn:problem:room-not-found")
    status, problem = await refused(server, "nowhere")
    assert (status, problem["type"]) == (422, "urn:problem:invalid-request")


async def test_pages_of_other_sites_are_refused(server: Server, room: str) -> None:
    """A page may connect to the server that it comes from; one of another site may not."""
    for origin in ("https://evil.example", "null", "http://["):
        status, problem = await refused(server, room, origin=origin)
        assert (status, problem["type"]) == (403, "urn:problem:origin-not-allowed")
    async with entered(server, room, origin=server.url) as ada:
        await ada.say("hello")
        assert await ada.hear(1) == ["hello"]


async def test_subprotocols(server: Server, room: str) -> None:
    """The answer names the protocol that is spoken, or else one that the client offers."""
    token = await token_of(server, "ada") or "none"
    for offered, chosen in (
        (["keel.chat.v1", "bearer", token], "keel.chat.v1"),
        (["keel.chat.v1", "keel.chat.v2", "bearer", token], "keel.chat.v2"),
        (["bearer", token], "bearer"),
    ):
        async with entered(server, room, subprotocols=offered) as ada:
            assert ada.socket.subprotocol == chosen


async def test_token_in_the_first_frame(server: Server, room: str, people: People) -> None:
    """A client whose handshake holds no token says in its first frame who it is."""
    async with dialled(server, room) as socket:
        ada = Talker(socket)
        await ada.send(type="authenticate", token="ada")
        assert (await ada.next("ready"))["you"] == "ada"
        await ada.say("hello")
        assert (await ada.next())["sender"] == "ada"


@pytest.mark.parametrize("frame", [None, '{"type": "ping"}', "nonsense", b"binary"])
async def test_who_says_nothing_of_themselves_is_sent_away(
    server: Server, room: str, people: People, monkeypatch: pytest.MonkeyPatch, frame: str | bytes | None
) -> None:
    """Without a token, in time and before all else, there is nothing to hear."""
    if frame is None:
        hubs = server.app.state.chat
        monkeypatch.setattr(hubs, "settings", hubs.settings.model_copy(update={"authenticate_seconds": 0.05}))
    async with dialled(server, room) as socket:
        if frame is not None:
            await socket.send(frame)
        assert await Talker(socket).closed() == 4401


async def test_first_frame_for_a_room_that_is_not_there(server: Server, room: str, people: People) -> None:
    """Only who has signed in learns that there is no such room."""
    async with dialled(server, str(uuid4())) as socket:
        ada = Talker(socket)
        await ada.send(type="authenticate", token="ada")
        assert await ada.closed() == 4404


async def test_a_wrong_token_is_refused(server: Server, room: str, people: People) -> None:
    """A token that says nothing ends the handshake, and so does one that does not allow to listen."""
    people.ends["late"] = time.time() - 1
    assert (await refused(server, room, subprotocols=["bearer", "late"]))[0] == 401
    people.scopes = frozenset()
    assert (await refused(server, room, subprotocols=["bearer", "ada"]))[0] == 403


async def test_a_token_runs_out(server: Server, room: str, people: People) -> None:
    """A connection ends with its token."""
    people.seconds = 0.02
    async with entered(server, room, subprotocols=["bearer", "ada"]) as ada:
        await ada.say("in time")
        assert await ada.hear(1) == ["in time"]
        people.ends["ada"] = time.time()
        assert await ada.closed() == 4401


async def test_a_fresh_token(server: Server, room: str, people: People) -> None:
    """A new token keeps the connection open; somebody else's ends it."""
    people.seconds = 0.02
    async with entered(server, room, subprotocols=["bearer", "ada"]) as ada:
        await ada.send(type="authenticate", token="ada.fresh")
        await eventually(lambda: people.asked["ada.fresh"] > 1)
        people.ends["ada"] = time.time()
        asked = people.asked.copy()
        await eventually(lambda: people.asked["ada.fresh"] > asked["ada.fresh"] + 1)
        assert people.asked["ada"] == asked["ada"]
        await ada.say("still here")
        assert await ada.hear(1) == ["still here"]
        await ada.send(type="authenticate", token="eve")
        assert await ada.closed() == 4403


async def test_a_fresh_token_just_in_time(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts, also if the old one is being looked at, and found to have ended, when it comes."""
    looking, ended, closed = asyncio.Event(), asyncio.Event(), list[Close]()

    async def verify_caller(_: FastAPI, token: str | None, __: Any = ()) -> VerifiedCaller:
        if token == "old":
            looking.set()
            await ended.wait()
            raise SignInFirst("Sign in first.")
        return VerifiedCaller(Caller("ada", ALL))

    monkeypatch.setattr("app.examples.chat.credentials.verify_caller", verify_caller)
    credentials = Credentials(app, VerifiedCaller(Caller("ada", ALL), time.time()), "old", closed.append)
    await looking.wait()
    await credentials.identify("fresh")
    ended.set()
    await asyncio.wait(credentials.forget())

    assert closed == []


async def test_listening_only(server: Server, room: str, people: People) -> None:
    """A token that allows to read does not allow to write."""
    people.scopes = frozenset({"chat:read"})
    async with entered(server, room, subprotocols=["bearer", "ada"]) as ada:
        await ada.say("hello")
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
async def test_frames_that_make_no_sense(server: Server, room: str, text: str, named: str | None) -> None:
    """A wrong frame is answered by an error, with the name of the message if it has one; the connection goes on."""
    async with entered(server, room) as ada:
        await ada.socket.send(text)
        error = await ada.next("error")
        await ada.send(type="ping")
        await ada.next("pong")

    assert (error["code"], error.get("client_id")) == ("invalid-frame", named)


@pytest.mark.parametrize(("frame", "code"), [(b"binary", 1003), ("x" * 65_537, 1009), ("é" * 40_000, 1009)])
async def test_frames_that_end_the_connection(server: Server, room: str, frame: str | bytes, code: int) -> None:
    """What is no text or too large is not even looked at."""
    async with entered(server, room) as ada:
        await ada.socket.send(frame)
        assert await ada.closed() == code


async def test_who_sends_too_much(server: Server, room: str, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller is counted over all connections, slowed down first, and sent away if that does not help."""
    hubs = server.app.state.chat
    monkeypatch.setattr(hubs, "settings", hubs.settings.model_copy(update={"message_rate": "2/year"}))
    async with entered(server, room, subprotocols=["bearer", "ada.1"]) as one:
        await one.say("1", "2")
        assert await one.hear(2) == ["1", "2"]
        async with entered(server, room, subprotocols=["bearer", "ada.2"]) as two:
            await two.say("3")
            assert await two.closed() == 4429


async def test_who_sends_a_little_too_much(server: Server, room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What exceeds the rate is said later, and not lost."""
    hubs = server.app.state.chat
    monkeypatch.setattr(hubs, "settings", hubs.settings.model_copy(update={"message_rate": "3/second"}))
    async with entered(server, room) as ada:
        await ada.say(*map(str, range(5)))
        assert await ada.hear(5) == list(map(str, range(5)))


async def test_too_many_connections(server: Server, room: str, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller has so many connections and no more; others are let in."""
    hubs = server.app.state.chat
    monkeypatch.setattr(hubs, "settings", hubs.settings.model_copy(update={"connections": 1}))
    async with entered(server, room, subprotocols=["bearer", "ada"]):
        assert (await refused(server, room, subprotocols=["bearer", "ada"]))[0] == 429
        async with entered(server, room, subprotocols=["bearer", "eve"]):
            pass


async def test_presence(server: Server, client: AsyncClient, room: str, people: People) -> None:
    """All in the room see who comes and goes; somebody with two connections is there once."""
    async with entered(server, room, subprotocols=["bearer", "ada"]) as ada:
        async with (
            entered(server, room, subprotocols=["bearer", "eve.1"]) as eve,
            entered(server, room, subprotocols=["bearer", "eve.2"]),
        ):
            while (seen := await ada.next("presence"))["members"] != ["ada", "eve"]:
                pass
            assert seen["count"] == 2
            while (await eve.next("presence"))["members"] != ["ada", "eve"]:
                pass
        while (await ada.next("presence"))["members"] != ["ada"]:
            pass


async def test_nothing_is_left_of_an_empty_room(server: Server, room: str) -> None:
    """The last one to leave closes the room's part of the process."""
    hubs = server.app.state.chat
    async with entered(server, room):
        assert len(hubs._hubs) == 1
    await eventually(lambda: not (hubs._hubs or hubs.connections or hubs._callers or hubs._settling))


async def test_shutdown(app: FastAPI, client: AsyncClient) -> None:
    """Clients are told that the server restarts, after they were given what was stored for them."""
    room = await open_room(client)
    with Server(create_app()) as server:
        async with entered(server, room) as ada:
            await ada.say("last words")
            await ada.hear(1)
            stopping = asyncio.create_task(asyncio.to_thread(server.stop))
            assert await ada.closed() == 1012
            await stopping


async def test_no_connection_while_stopping(server: Server, room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is about to stop lets nobody in."""
    monkeypatch.setattr(server.app.state.chat, "draining", True)
    assert (await refused(server, room))[0] == 503


async def test_unforeseen_errors(server: Server, room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client learns that something went wrong, and nothing of what."""

    async def broken(*_: object) -> None:
        raise RuntimeError("a secret")

    async with entered(server, room) as ada:
        monkeypatch.setattr("app.examples.chat.speech.Speech._on_text", broken)
        await ada.say("hello")
        assert await ada.closed() == 1011
