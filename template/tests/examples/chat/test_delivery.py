"""Messages are stored and delivered once, in order."""

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

from app.examples.chat.live.frames import MessageError
from app.examples.chat.live.room import LiveRoom
from app.examples.chat.live.room_registry import RoomRegistry
from app.examples.chat.message_store import Draft, MessageStore
from app.examples.chat.repository import ChatReader
from keel.db.database import Database
from keel.services import services_of
from keel.testing.server import Server
from keel.testing.support import PATIENCE
from keel.web.errors import Unavailable
from tests.examples.chat.api import BATCHED, ROOMS, SINGLE, connected, many_connected


async def test_message_is_delivered_to_all(server: Server, client: AsyncClient, room: str) -> None:
    """Every client in the room receives the message, including its sender, and it is in the history."""
    async with connected(server, room, "ada") as ada, connected(server, room, "eve") as eve:
        await ada.send(type="message", client_id="c1", body="Ahoy 🚢")
        received, acknowledged = await eve.next(), await ada.next()

    assert received == acknowledged
    assert received.keys() == {"type", "id", "client_id", "sender", "body", "sent_at"}
    assert (received["id"], received["client_id"], received["body"]) == (1, "c1", "Ahoy 🚢")
    assert (await client.get(f"{ROOMS}/{room}/messages")).json()["items"] == [received]


@pytest.mark.parametrize("version", [SINGLE, BATCHED])
async def test_order_is_the_same_for_all(server: Server, room: str, version: str) -> None:
    """Concurrent messages reach all clients in the order of their ids, without gaps."""
    async with many_connected(server, room, 5, version) as clients:
        await asyncio.gather(
            *(client.send_messages(*(f"{n}-{i}" for i in range(8))) for n, client in enumerate(clients))
        )
        received = [[await client.next() for _ in range(40)] for client in clients]

    assert [message["id"] for message in received[0]] == list(range(1, 41))
    assert all(each == received[0] for each in received)
    for n in range(5):
        own = [message["body"] for message in received[0] if message["body"].startswith(f"{n}-")]
        assert own == [f"{n}-{i}" for i in range(8)]


async def test_rooms_are_separate(server: Server, client: AsyncClient, room: str) -> None:
    """A message is delivered in its room only."""
    other = (await client.post(ROOMS, json={"name": "Other"})).json()["id"]
    async with connected(server, room) as here, connected(server, other) as there:
        await there.send_messages("secret")
        await there.next()
        await here.send_messages("public")

        assert await here.receive(1) == ["public"]


async def test_resent_message_is_stored_once(server: Server, room: str) -> None:
    """A client that lost the acknowledgement resends and gets it; no client receives the message twice."""
    async with connected(server, room, "eve") as eve:
        async with connected(server, room, "ada") as ada:
            await ada.send_messages("once")
            first = await ada.next()
        async with connected(server, room, "ada") as ada:
            await ada.send_messages("once")
            again = await ada.next()
            await ada.send_messages("twice")
            assert await ada.receive(1) == ["twice"]

        assert again == first
        assert await eve.receive(2) == ["once", "twice"]


async def test_resent_message_is_replayed_once(server: Server, room: str) -> None:
    """A client that reconnects and resends a stored message gets it in its place, once."""
    async with connected(server, room, "ada") as ada:
        await ada.send_messages("lost", "other")
        await ada.receive(2)
    async with connected(server, room, "ada", after=0) as ada:
        await ada.send_messages("lost", "new")

        assert await ada.receive(3) == ["lost", "other", "new"]


@pytest.mark.parametrize("version", [SINGLE, BATCHED])
async def test_reconnect(server: Server, room: str, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that reconnects with its last id gets exactly the following messages, while others keep sending."""
    monkeypatch.setattr("app.examples.chat.live.message_buffer.RECENT", 16)
    monkeypatch.setattr("app.examples.chat.live.room.RECENT", 16)
    monkeypatch.setattr("app.examples.chat.live.room.BATCH", 12)
    async with connected(server, room, "eve") as eve:
        await eve.send_messages(*(f"before {n}" for n in range(60)))
        seen = [await eve.next() for _ in range(60)]
        sending = asyncio.create_task(eve.send_messages(*(f"during {n}" for n in range(20))))
        all_bodies = [message["body"] for message in seen] + [f"during {n}" for n in range(20)]
        # The first is older than the buffer, and further back than one query.
        for after in (10, 55):
            async with connected(server, room, "ada", version, after=after) as ada:
                assert await ada.receive(80 - after) == all_bodies[after:]
            if after == 10:
                await asyncio.gather(sending, eve.receive(20))


async def test_reconnect_with_an_unknown_message(server: Server, room: str) -> None:
    """A client ahead of the database is refused in the handshake."""
    with pytest.raises(InvalidStatus) as refused:
        async with connected(server, room, after=5):
            pass
    assert refused.value.response.status_code == 400
    assert json.loads(refused.value.response.body)["type"] == "urn:problem:unknown-message"


async def test_reconnect_without_the_database(
    server: Server, app: FastAPI, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If missed messages cannot be read, the client is told to retry, and gets no newer ones."""
    await MessageStore(services_of(app).database).append(_uuid(room), [Draft("eve", str(n), "x") for n in range(5)])

    async def unavailable(*_: object) -> None:
        raise Unavailable("The database does not answer.")

    monkeypatch.setattr("app.examples.chat.live.room.RECENT", 2)
    monkeypatch.setattr(ChatReader, "following", unavailable)
    async with connected(server, room, after=0) as ada:
        assert await ada.closed() == 1013


async def test_unannounced_message_is_found(server: Server, app: FastAPI, room: str) -> None:
    """Another process's message is delivered in order, even if its publication was lost."""
    async with connected(server, room) as ada:
        await ada.send_messages("first")
        await ada.receive(1)
        # This application shares the database with the server's, and nothing else.
        new, _ = await MessageStore(services_of(app).database).append(_uuid(room), [Draft("eve", "x", "unannounced")])
        assert await ada.receive(1) == ["unannounced"]
        assert new[0]["id"] == 2


async def test_client_ahead_of_the_process(
    server: Server, app: FastAPI, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that reconnects from a process that was ahead gets no message twice."""
    rooms: RoomRegistry = server.state["chat_rooms"]
    async with connected(server, room, "ada") as ada:
        monkeypatch.setattr(rooms, "settings", rooms.settings.model_copy(update={"poll_seconds": 0.5}))
        await asyncio.sleep(0.1)
        drafts = [Draft("eve", str(n), f"elsewhere {n}") for n in range(3)]
        await MessageStore(services_of(app).database).append(_uuid(room), drafts)
        async with connected(server, room, "eve", after=2) as eve:
            await ada.send_messages("here")
            assert await eve.receive(2) == ["elsewhere 2", "here"]
        assert await ada.receive(4) == ["elsewhere 0", "elsewhere 1", "elsewhere 2", "here"]


async def test_publications_out_of_order(server: Server, app: FastAPI, room: str) -> None:
    """An early message waits for earlier ones; a duplicate is delivered once."""
    pubsub = services_of(server.app).pubsub
    async with connected(server, room) as ada:
        store = MessageStore(services_of(app).database)
        frames = []
        for n in range(3):
            (row,), _ = await store.append(_uuid(room), [Draft("eve", str(n), str(n))])
            frames.append(f"{row['id']}\n{json.dumps({'type': 'message', 'body': row['body']})}")
        for frame in (frames[2], frames[0], frames[2], frames[1]):
            await server.run(pubsub.publish(LiveRoom.topic(_uuid(room)), "messages", frame))
        await ada.send_messages("end")

        assert await ada.receive(4) == ["0", "1", "2", "end"]


async def test_message_that_cannot_be_stored(server: Server, room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sender gets an error with its id; resent once the database answers, it is delivered."""
    original = Database.transaction

    def unavailable(self: Database) -> Any:
        raise Unavailable("The database does not answer.")

    async with connected(server, room) as ada:
        monkeypatch.setattr(Database, "transaction", unavailable)
        await ada.send_messages("hello")
        refused = await ada.next("error")
        monkeypatch.setattr(Database, "transaction", original)
        await ada.send_messages("hello")

        assert MessageError.model_validate(refused).client_id == "hello"
        assert refused["code"] == "unavailable"
        assert await ada.receive(1) == ["hello"]


async def test_broken_pubsub(server: Server, room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients of the same process receive messages without pub/sub."""

    async def broken(*_: object) -> None:
        raise ConnectionError

    async with connected(server, room, "ada") as ada, connected(server, room, "eve") as eve:
        monkeypatch.setattr(services_of(server.app).pubsub, "publish", broken)
        await ada.send_messages("still here")

        assert await eve.receive(1) == await ada.receive(1) == ["still here"]


@pytest.mark.parametrize("version", [SINGLE, BATCHED])
async def test_slow_client_is_disconnected(
    server: Server, room: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that does not read is disconnected; the others still receive everything."""
    registry = services_of(server.app).websockets
    monkeypatch.setattr("keel.websockets.connection.CLOSE_SECONDS", 0.05)
    monkeypatch.setattr(registry, "settings", registry.settings.model_copy(update={"send_queue_size": 16}))
    async with connected(server, room, "ada") as ada, AsyncExitStack() as stack:
        with server.small_buffers():
            eve = await stack.enter_async_context(connected(server, room, "eve", version))
        eve.socket.transport.pause_reading()
        async with asyncio.timeout(PATIENCE):
            sent = 0
            while len(registry.connections) == 2:
                sent += 1
                await ada.send(type="message", client_id=str(sent), body="x" * 4000)
                await ada.next()
        eve.socket.transport.abort()


async def test_concurrent_messages_get_consecutive_ids(database: Database, room: str) -> None:
    """Messages stored concurrently get different ids, without gaps."""
    store = MessageStore(database)
    drafts = [Draft("ada", str(n), "x") for n in range(10)]
    await asyncio.gather(*(store.append(_uuid(room), [draft]) for draft in [*drafts, *drafts]))

    async with database.transaction() as session:
        rows = (await session.execute(text("SELECT id, client_id FROM chat_messages ORDER BY id"))).all()
    assert [row.id for row in rows] == list(range(1, 11))
    assert {row.client_id for row in rows} == {draft.client_id for draft in drafts}


def _uuid(room: str) -> UUID:
    return UUID(room)
