"""Rooms and their history over HTTP."""

from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.examples.chat.message_store import Draft, MessageStore
from app.examples.chat.seed import seed
from keel.db.database import Database
from tests.examples.chat.api import ROOMS, open_room


async def test_open_room(client: AsyncClient) -> None:
    """`Location` leads to the new room."""
    answer = await client.post(ROOMS, json={"name": "Pier 4"})
    room = (await client.get(answer.headers["Location"])).json()

    assert answer.status_code == 201
    assert room == {**answer.json(), "present": [], "present_count": 0}
    assert (room["name"], room["last_message_id"]) == ("Pier 4", 0)


async def test_list_rooms(client: AsyncClient) -> None:
    """Pages cover all rooms, newest first."""
    for n in range(5):
        await open_room(client, str(n))
    first = (await client.get(ROOMS, params={"limit": 3})).json()
    second = (await client.get(ROOMS, params={"limit": 3, "cursor": first["next"]})).json()

    assert [room["name"] for room in first["items"] + second["items"]] == ["4", "3", "2", "1", "0"]
    assert second["next"] is None


async def test_history(client: AsyncClient, database: Database) -> None:
    """Pages go back to the first message, and stay consistent while new ones arrive."""
    room = await open_room(client)
    await store_messages(database, room, 7)
    first = await client.get(f"{ROOMS}/{room}/messages", params={"limit": 4})
    await store_messages(database, room, 2, "later")
    second = (await client.get(f"{ROOMS}/{room}/messages", params={"cursor": first.json()["next"]})).json()

    assert [message["id"] for message in first.json()["items"] + second["items"]] == [7, 6, 5, 4, 3, 2, 1]
    assert second["next"] is None
    assert 'rel="next"' in first.headers["Link"]


async def test_cursor_of_another_room(client: AsyncClient, database: Database) -> None:
    """A cursor is valid only for its own list."""
    room, other = await open_room(client), await open_room(client)
    await store_messages(database, room, 2)
    cursor = (await client.get(f"{ROOMS}/{room}/messages", params={"limit": 1})).json()["next"]
    answer = await client.get(f"{ROOMS}/{other}/messages", params={"cursor": cursor})

    assert (answer.status_code, answer.json()["type"]) == (400, "urn:problem:invalid-cursor")


@pytest.mark.parametrize("path", ["", "/messages"])
async def test_unknown_room(client: AsyncClient, path: str) -> None:
    """An unknown room is 404."""
    answer = await client.get(f"{ROOMS}/{uuid4()}{path}")

    assert (answer.status_code, answer.json()["type"]) == (404, "urn:problem:room-not-found")


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "x" * 101}, {"name": "\0"}, {"name": "x", "y": 1}])
async def test_invalid_rooms(client: AsyncClient, body: dict[str, object]) -> None:
    """A room has a name, and no other field."""
    assert (await client.post(ROOMS, json=body)).status_code == 422


async def test_seed(app: FastAPI, client: AsyncClient) -> None:
    """The demonstration data is a room with messages."""
    assert [None async for _ in seed(app, 60)] == [None] * 60
    (room,) = (await client.get(ROOMS)).json()["items"]

    assert room["last_message_id"] == 60


async def store_messages(database: Database, room: str, count: int, name: str = "message", sender: str = "ada") -> None:
    """Store some messages."""
    drafts = [Draft(sender, f"{name} {n}", f"{name} {n}") for n in range(count)]
    await MessageStore(database).append(UUID(room), drafts)
