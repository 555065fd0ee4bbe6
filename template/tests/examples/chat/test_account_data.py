"""Messages of deleted and transferred accounts."""

from httpx2 import AsyncClient

from app.examples.chat.account_data import ChatAccountData
from keel.db.database import Database
from tests.examples.chat.api import ROOMS, open_room
from tests.examples.chat.test_rooms import store_messages


async def test_deletion(client: AsyncClient, database: Database) -> None:
    """Messages of a deleted account are emptied; all messages keep their ids."""
    room = await open_room(client)
    await store_messages(database, room, 2, sender="ada")
    await store_messages(database, room, 1, sender="eve")
    async with database.transaction() as session:
        await ChatAccountData().delete(session, "ada")
    items = (await client.get(f"{ROOMS}/{room}/messages")).json()["items"]

    assert [(item["id"], item["sender"], item["body"]) for item in items] == [
        (3, "eve", "message 0"),
        (2, "deleted", ""),
        (1, "deleted", ""),
    ]


async def test_transfer_of_ownership(client: AsyncClient, database: Database) -> None:
    """Messages belong to the new owner, even if both used the same client ids."""
    room = await open_room(client)
    await store_messages(database, room, 1, sender="ada")
    await store_messages(database, room, 1, sender="eve")
    async with database.transaction() as session:
        await ChatAccountData().transfer_ownership(session, "ada", "eve")
    items = (await client.get(f"{ROOMS}/{room}/messages")).json()["items"]

    assert [(item["id"], item["sender"]) for item in items] == [(2, "eve"), (1, "eve")]
