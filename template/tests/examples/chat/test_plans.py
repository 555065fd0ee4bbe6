"""Indexes serve every query on rooms and their history."""

from uuid import UUID

from httpx2 import AsyncClient

from app.examples.chat.repository import ChatReader
from keel.db.database import Database
from keel.testing.plans import WatchQueries
from tests.examples.chat.api import ROOMS, open_room


async def test_rooms_have_indexes(client: AsyncClient, watch_queries: WatchQueries) -> None:
    """The list of rooms, its next page, and a room."""
    room = await open_room(client, "Harbour")
    await open_room(client, "Station")

    async with watch_queries() as faults:
        page = (await client.get(ROOMS, params={"limit": 1})).json()
        assert (await client.get(ROOMS, params={"cursor": page["next"]})).status_code == 200
        assert (await client.get(f"{ROOMS}/{room}")).status_code == 200

    assert faults == []


async def test_messages_have_indexes(
    database: Database, client: AsyncClient, room: str, watch_queries: WatchQueries
) -> None:
    """History, and the query for resuming clients."""
    async with watch_queries() as faults:
        assert (await client.get(f"{ROOMS}/{room}/messages")).status_code == 200
        reader = ChatReader(database.read)
        await reader.following(UUID(room), 0, 10)
        await reader.newest([UUID(room)])

    assert faults == []
