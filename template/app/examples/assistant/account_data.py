"""Conversations of an account that is deleted or merged."""

from sqlalchemy import delete, update

from app.examples.assistant.models import Conversation
from keel.db.database import Session
from keel.services import Services


class AssistantAccountData:
    """Conversations by their owner, with their messages."""

    async def delete(self, session: Session, subject: str) -> None:
        """Delete a subject's conversations."""
        await session.execute(delete(Conversation).where(Conversation.owner_id == subject))

    async def transfer_ownership(self, session: Session, old: str, new: str) -> None:
        """Transfer a subject's conversations to another."""
        await session.execute(update(Conversation).where(Conversation.owner_id == old).values(owner_id=new))


def account_data(_: Services) -> AssistantAccountData:
    """Return the handler of conversations, for `keel.auth`."""
    return AssistantAccountData()
