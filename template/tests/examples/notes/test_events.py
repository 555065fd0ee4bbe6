"""Live changes over a real connection."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from app.main import create_app
from keel.dependencies import get_pubsub
from keel.messaging.pubsub import Message, PubSub
from keel.services import services_of
from keel.testing.identity import sign_in
from keel.testing.server import Server
from keel.testing.support import connections_in_use, eventually
from tests.examples.notes.api import NOTES, create

EVENTS = f"{NOTES}/events"


@asynccontextmanager
async def calling(server: Server) -> AsyncGenerator[AsyncClient]:
    """Return a client of a real server."""
    async with server.client() as client:
        await sign_in(client)
        yield client


async def events(answer: Response) -> AsyncIterator[dict[str, str]]:
    """Read events as a browser does: fields by name, an empty line at the end of each."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield fields
            fields = {}


class Hesitating:
    """A pubsub to which it takes a while to subscribe."""

    def __init__(self, pubsub: PubSub) -> None:
        self._pubsub = pubsub
        self.listeners = 0

    async def publish(self, topic: str, event: str, data: str) -> None:
        """Send a message."""
        await self._pubsub.publish(topic, event, data)

    @asynccontextmanager
    async def subscribe(self, topic: str, *, after: str | None = None) -> AsyncGenerator[AsyncIterator[Message]]:
        """Listen, after a while."""
        await asyncio.sleep(0.05)
        async with self._pubsub.subscribe(topic, after=after) as messages:
            yield messages


async def wait_for_listeners(server: Server, count: int) -> None:
    """Wait until so many are subscribed: the server learns of clients that come and go a moment later."""
    await eventually(lambda: services_of(server.app).pubsub.listeners == count)


async def test_changes_arrive_in_order(server: Server) -> None:
    """Every subscriber gets each change, with the note, after it is stored."""
    async with calling(server) as client, client.stream("GET", EVENTS) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        heard = events(answer)
        note = await create(client)
        created = await anext(heard)
        await client.patch(f"{NOTES}/{note['id']}", json={"title": "New"})
        updated = await anext(heard)
        await client.delete(f"{NOTES}/{note['id']}")
        deleted = await anext(heard)

    assert [event["event"] for event in (created, updated, deleted)] == ["created", "updated", "deleted"]
    assert json.loads(created["data"]) == note
    assert json.loads(updated["data"])["title"] == "New"


async def test_nothing_is_missed_after_the_headers(server: Server) -> None:
    """A client that has the response's headers gets every later change, however long subscribing took."""
    hesitating = Hesitating(services_of(server.app).pubsub)
    server.app.dependency_overrides[get_pubsub] = lambda: hesitating
    async with calling(server) as client, client.stream("GET", EVENTS) as answer:
        note = await create(client)

        assert json.loads((await anext(events(answer)))["data"]) == note


async def test_refused_changes_are_not_published(server: Server) -> None:
    """A change that was refused is not announced."""
    async with calling(server) as client, client.stream("GET", EVENTS) as answer:
        heard = events(answer)
        note = await create(client)
        await anext(heard)
        await client.patch(f"{NOTES}/{note['id']}", json={"title": "New"}, headers={"If-Match": '"9"'})
        await create(client, title="next")

        assert json.loads((await anext(heard))["data"])["title"] == "next"


async def test_resuming(server: Server) -> None:
    """After a lost connection, the stream continues with the missed changes."""
    async with calling(server) as client:
        async with client.stream("GET", EVENTS) as answer:
            heard = events(answer)
            await create(client, title="seen")
            last = (await anext(heard))["id"]
        await create(client, title="missed")

        async with client.stream("GET", EVENTS, headers={"Last-Event-ID": last}) as answer:
            assert json.loads((await anext(events(answer)))["data"])["title"] == "missed"


async def test_resuming_after_an_unknown_event(server: Server) -> None:
    """A client whose missed events are unknown gets a reset, then the following events."""
    async with calling(server) as client:
        async with client.stream("GET", EVENTS, headers={"Last-Event-ID": "of another process"}) as answer:
            heard = events(answer)
            reset = await anext(heard)
            await create(client)
            created = await anext(heard)

    assert [reset["event"], created["event"]] == ["reset", "created"]


async def test_listening_uses_no_database_connection(server: Server) -> None:
    """A thousand listeners occupy no pooled connection."""
    async with calling(server) as client, client.stream("GET", EVENTS):
        await wait_for_listeners(server, 1)

        await eventually(lambda: connections_in_use(services_of(server.app).database) == 0)


async def test_disconnected_listener_is_forgotten(server: Server) -> None:
    """Nothing is kept for a disconnected client."""
    async with calling(server) as client:
        async with client.stream("GET", EVENTS):
            await wait_for_listeners(server, 1)
        await wait_for_listeners(server, 0)


async def test_shutdown_ends_streams(app: FastAPI) -> None:
    """A listener does not delay the shutdown, and requests in progress are finished."""
    with Server(create_app()) as server:
        async with calling(server) as client, client.stream("GET", EVENTS) as answer:
            await asyncio.to_thread(server.stop)
            # One that the server had to cut off would end with an error.
            assert [line async for line in answer.aiter_lines()] == []
