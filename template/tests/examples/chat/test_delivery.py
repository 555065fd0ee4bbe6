"""What is said is stored once, then heard by everybody once, in one order."""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import text
from websockets.exceptions import InvalidStatus

from app.examples.chat.frames import ErrorFrame
from app.examples.chat.hub import Hub
from app.examples.chat.repository import ChatReader
from app.examples.chat.service import Draft, Journal
from keel.db.database import Database
from keel.services import services_of
from keel.testing.server import Server
from keel.testing.support import PATIENCE
from keel.web.errors import Unavailable
from tests.examples.chat.api import ONE_BY_ONE, ROOMS, TOGETHER, Talker, crowd, entered


async def test_everybody_hears_what_is_said(server: Server, client: AsyncClient, room: str) -> None:
    """All in the room get the message, its sender too, and it is in the history."""
    async with entered(server, room, "ada") as ada, entered(server, room, "eve") as eve:
        await ada.send(type="message", client_id="c1", body="Ahoy 🚢")
        heard, acknowledged = await eve.next(), await ada.next()

    assert heard == acknowledged
    assert heard.keys() == {"type", "id", "client_id", "sender", "body", "sent_at"}
    assert (heard["id"], heard["client_id"], heard["body"]) == (1, "c1", "Ahoy 🚢")
    assert (await client.get(f"{ROOMS}/{room}/messages")).json()["items"] == [heard]


@pytest.mark.parametrize("version", [ONE_BY_ONE, TOGETHER])
async def test_all_hear_the_same_order(server: Server, room: str, version: str) -> None:
    """Many who talk at once are heard by each in the order of the numbers, without a gap."""
    async with crowd(server, room, 5, version) as talkers:
        await asyncio.gather(*(talker.say(*(f"{n}-{i}" for i in range(8))) for n, talker in enumerate(talkers)))
        heard = [[await talker.next() for _ in range(40)] for talker in talkers]

    assert [message["id"] for message in heard[0]] == list(range(1, 41))
    assert all(each == heard[0] for each in heard)
    for n in range(5):
        own = [message["body"] for message in heard[0] if message["body"].startswith(f"{n}-")]
        assert own == [f"{n}-{i}" for i in range(8)]


async def test_rooms_do_not_hear_each_other(server: Server, client: AsyncClient, room: str) -> None:
    """What is said in a room stays there."""
    other = (await client.post(ROOMS, json={"name": "Other"})).json()["id"]
    async with entered(server, room) as here, entered(server, other) as there:
        await there.say("secret")
        await there.next()
        await here.say("public")

        assert await here.hear(1) == ["public"]


async def test_a_message_sent_again_is_said_once(server: Server, room: str) -> None:
    """Whoever lost the acknowledgement sends again, and gets it; nobody hears the message twice."""
    async with entered(server, room, "eve") as eve:
        async with entered(server, room, "ada") as ada:
            await ada.say("once")
            first = await ada.next()
        async with entered(server, room, "ada") as ada:
            await ada.say("once")
            again = await ada.next()
            await ada.say("twice")
            assert await ada.hear(1) == ["twice"]

        assert again == first
        assert await eve.hear(2) == ["once", "twice"]


async def test_a_message_sent_again_and_replayed_comes_once(server: Server, room: str) -> None:
    """Whoever comes back and sends again what was stored gets it in its place, and not a second time."""
    async with entered(server, room, "ada") as ada:
        await ada.say("lost", "other")
        await ada.hear(2)
    async with entered(server, room, "ada", after=0) as ada:
        await ada.say("lost", "new")

        assert await ada.hear(3) == ["lost", "other", "new"]


@pytest.mark.parametrize("version", [ONE_BY_ONE, TOGETHER])
async def test_coming_back(server: Server, room: str, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes back with the last message that they saw gets exactly what followed, while others talk on."""
    monkeypatch.setattr("app.examples.chat.timeline.RECENT", 16)
    monkeypatch.setattr("app.examples.chat.hub.RECENT", 16)
    monkeypatch.setattr("app.examples.chat.hub.BATCH", 12)
    async with entered(server, room, "eve") as eve:
        await eve.say(*(f"before {n}" for n in range(60)))
        seen = [await eve.next() for _ in range(60)]
        talking = asyncio.create_task(eve.say(*(f"during {n}" for n in range(20))))
        all_bodies = [message["body"] for message in seen] + [f"during {n}" for n in range(20)]
        # The first is further back than what the process remembers, and than what it asks the database for at once.
        for after in (10, 55):
            async with entered(server, room, "ada", version, after=after) as ada:
                assert await ada.hear(80 - after) == all_bodies[after:]
            if after == 10:
                await asyncio.gather(talking, eve.hear(20))


async def test_coming_back_with_a_message_that_never_was(server: Server, room: str) -> None:
    """A client that knows more than the database is told so in the handshake."""
    with pytest.raises(InvalidStatus) as refused:
        async with entered(server, room, after=5):
            pass
    assert refused.value.response.status_code == 400
    assert json.loads(refused.value.response.body)["type"] == "urn:problem:unknown-message"


async def test_coming_back_while_the_database_is_away(
    server: Server, app: FastAPI, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who cannot be given what they missed is told to come back later, and given nothing that came after it."""
    await Journal(services_of(app).database).store(_uuid(room), [Draft("eve", str(n), "x") for n in range(5)])

    async def away(*_: object) -> None:
        raise Unavailable("The database is away.")

    monkeypatch.setattr("app.examples.chat.hub.RECENT", 2)
    monkeypatch.setattr(ChatReader, "following", away)
    async with entered(server, room, after=0) as ada:
        assert await ada.closed() == 1013


async def test_what_nobody_announced_is_found(server: Server, app: FastAPI, room: str) -> None:
    """A message of another process whose pubsub was lost is heard all the same, in its place."""
    async with entered(server, room) as ada:
        await ada.say("first")
        await ada.hear(1)
        # This application shares the database with the server's, and nothing else.
        new, _ = await Journal(services_of(app).database).store(_uuid(room), [Draft("eve", "x", "unannounced")])
        assert await ada.hear(1) == ["unannounced"]
        assert new[0]["id"] == 2


async def test_a_client_that_is_ahead(server: Server, app: FastAPI, room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes from a process that knew more is not told again what they have seen there."""
    hubs = server.app.state.chat
    async with entered(server, room, "ada") as ada:
        monkeypatch.setattr(hubs, "settings", hubs.settings.model_copy(update={"poll_seconds": 0.5}))
        await asyncio.sleep(0.1)
        drafts = [Draft("eve", str(n), f"elsewhere {n}") for n in range(3)]
        await Journal(services_of(app).database).store(_uuid(room), drafts)
        async with entered(server, room, "eve", after=2) as eve:
            await ada.say("here")
            assert await eve.hear(2) == ["elsewhere 2", "here"]
        assert await ada.hear(4) == ["elsewhere 0", "elsewhere 1", "elsewhere 2", "here"]


async def test_pubsubs_out_of_order(server: Server, app: FastAPI, room: str) -> None:
    """A later message that arrives first waits for those before it; one that arrives twice is heard once."""
    pubsub = services_of(server.app).pubsub
    async with entered(server, room) as ada:
        journal = Journal(services_of(app).database)
        frames = []
        for n in range(3):
            (row,), _ = await journal.store(_uuid(room), [Draft("eve", str(n), str(n))])
            frames.append(f"{row['id']}\n{json.dumps({'type': 'message', 'body': row['body']})}")
        for frame in (frames[2], frames[0], frames[2], frames[1]):
            await _in_server(server, ada, pubsub.publish(Hub.topic(_uuid(room)), "messages", frame))
        await ada.say("end")

        assert await ada.hear(4) == ["0", "1", "2", "end"]


async def _in_server(server: Server, talker: Talker, work: Any) -> None:
    """Do some work on the server's event loop."""
    loop = services_of(server.app).shutdown._loop
    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


async def test_a_message_that_cannot_be_stored(server: Server, room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sender is told, by its name; sent again once the database is back, it is said."""
    original = Database.transaction

    def away(self: Database) -> Any:
        raise Unavailable("The database is away.")

    async with entered(server, room) as ada:
        monkeypatch.setattr(Database, "transaction", away)
        await ada.say("hello")
        refused = await ada.next("error")
        monkeypatch.setattr(Database, "transaction", original)
        await ada.say("hello")

        assert ErrorFrame.model_validate(refused).client_id == "hello"
        assert refused["code"] == "unavailable"
        assert await ada.hear(1) == ["hello"]


async def test_a_broken_pubsub_is_no_loss(server: Server, room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is connected to the same process hears what is said whatever becomes of the pubsub."""

    async def broken(*_: object) -> None:
        raise ConnectionError

    async with entered(server, room, "ada") as ada, entered(server, room, "eve") as eve:
        monkeypatch.setattr(services_of(server.app).pubsub, "publish", broken)
        await ada.say("still here")

        assert await eve.hear(1) == await ada.hear(1) == ["still here"]


@pytest.mark.parametrize("version", [ONE_BY_ONE, TOGETHER])
async def test_a_slow_client_slows_nobody(
    server: Server, room: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that reads nothing is disconnected; the others hear everything meanwhile."""
    hubs = server.app.state.chat
    monkeypatch.setattr("app.examples.chat.connection.CLOSING_SECONDS", 0.05)
    monkeypatch.setattr(hubs, "settings", hubs.settings.model_copy(update={"backlog": 16}))
    async with entered(server, room, "ada") as ada, AsyncExitStack() as stack:
        with server.small_buffers():
            eve = await stack.enter_async_context(entered(server, room, "eve", version))
        eve.socket.transport.pause_reading()
        async with asyncio.timeout(PATIENCE):
            sent = 0
            while len(hubs.connections) == 2:
                sent += 1
                await ada.send(type="message", client_id=str(sent), body="x" * 4000)
                await ada.next()
        eve.socket.transport.abort()


async def test_numbers_are_taken_in_turns(database: Database, room: str) -> None:
    """Messages that are stored at the same time from several sides get different numbers, without a gap."""
    journal = Journal(database)
    drafts = [Draft("ada", str(n), "x") for n in range(10)]
    await asyncio.gather(*(journal.store(_uuid(room), [draft]) for draft in [*drafts, *drafts]))

    async with database.transaction() as session:
        rows = (await session.execute(text("SELECT id, client_id FROM chat_messages ORDER BY id"))).all()
    assert [row.id for row in rows] == list(range(1, 11))
    assert {row.client_id for row in rows} == {draft.client_id for draft in drafts}


def _uuid(room: str) -> UUID:
    return UUID(room)
