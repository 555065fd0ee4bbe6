"""Conversations of deleted and transferred accounts."""

from uuid import UUID

from httpx2 import AsyncClient

from app.examples.assistant.account_data import AssistantAccountData
from app.examples.assistant.repository import ConversationRepository, MessageRepository
from keel.db.database import Database
from keel.testing.identity import sign_in
from tests.examples.assistant.api import ask, open_conversation


async def test_transfer_and_deletion(client: AsyncClient, database: Database) -> None:
    """Transferred conversations belong to the new owner; those of a deleted account are deleted with their messages."""
    subject = await sign_in(client)
    conversation = await open_conversation(client, title="Harbour")
    answer = await ask(client, conversation, "Ahoy")
    conversations = ConversationRepository(database.read)
    async with database.transaction() as session:
        await AssistantAccountData().transfer_ownership(session, subject, "heir")
    assert (await conversations.count(owner_id=subject), await conversations.count(owner_id="heir")) == (0, 1)
    async with database.transaction() as session:
        await AssistantAccountData().delete(session, "heir")

    assert await conversations.count(owner_id="heir") == 0
    assert await MessageRepository(database.read).get(id=UUID(answer["id"])) is None
