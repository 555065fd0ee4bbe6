"""Other owners' notes are invisible to a caller."""

import json

from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import select

from app.examples.notes.models import Tag
from keel.caller import Caller
from keel.db.database import Database
from keel.identity import current_caller
from keel.testing.identity import sign_in
from keel.testing.server import Server
from tests.examples.notes.api import NOTES, create, titles
from tests.examples.notes.test_events import EVENTS, events


async def test_notes_of_others_are_not_found(app: FastAPI, client: AsyncClient) -> None:
    """No method, filter or cursor reveals other owners' notes."""
    note = await create(client, title="private", tags=["secret"])
    await create(client, title="also private", tags=["secret"])
    page = (await client.get(NOTES, params={"limit": 1})).json()
    url = f"{NOTES}/{note['id']}"

    app.dependency_overrides[current_caller] = lambda: Caller("stranger")

    assert (await client.get(url)).status_code == 404
    assert (await client.get(f"{url}/html")).status_code == 404
    assert (await client.patch(url, json={"title": "mine now"})).status_code == 404
    assert (await client.delete(url)).status_code == 404
    assert await titles(client) == []
    assert await titles(client, tag="secret") == []
    assert await titles(client, q="private") == []
    assert await titles(client, cursor=page["next"]) == []


async def test_tags_of_others_are_not_shared(app: FastAPI, client: AsyncClient, database: Database) -> None:
    """If two owners use the same tag, each has its own row."""
    await create(client, title="first", tags=["word"])
    app.dependency_overrides[current_caller] = lambda: Caller("stranger")
    await create(client, title="second", tags=["word"])

    assert await titles(client, tag="word") == ["second"]
    assert len(await database.read.all(select(Tag.id).where(Tag.name == "word"))) == 2


async def test_streams_of_others(server: Server) -> None:
    """A stream contains only events of the caller's own notes."""
    async with server.client() as client:
        await sign_in(client)
        async with client.stream("GET", EVENTS) as answer:
            server.app.dependency_overrides[current_caller] = lambda: Caller("stranger")
            await create(client, title="private")
            server.app.dependency_overrides.clear()
            await create(client, title="mine")
            event = await anext(events(answer))

    assert json.loads(event["data"])["title"] == "mine"
