"""Queries on conversations and messages."""

from collections.abc import Collection, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import CursorResult, select, update

from app.examples.assistant.models import Conversation, Message
from keel.db.database import AnyRow
from keel.db.repository import Repository
from keel.llm.answers.answer import AnswerState


class ConversationRepository(Repository[Conversation]):
    """Conversations."""

    model = Conversation


class MessageRepository(Repository[Message]):
    """Messages of conversations."""

    model = Message

    async def tree(self, conversation_id: UUID) -> Sequence[AnyRow]:
        """Return all messages of a conversation without their content, in the order of their ids."""
        statement = select(Message.id, Message.parent_id, Message.role, Message.state)
        return await self.session.all(statement.where(Message.conversation_id == conversation_id).order_by(Message.id))

    async def some(self, ids: Collection[UUID]) -> dict[UUID, AnyRow]:
        """Return messages by their ids."""
        rows = await self.session.all(select(*Message.__table__.columns).where(Message.id.in_(list(ids))))
        return {row.id: row for row in rows}

    async def streaming(self, conversation_id: UUID) -> UUID | None:
        """Return the id of the answer under way in a conversation; None if there is none."""
        statement = select(Message.id).where(
            Message.conversation_id == conversation_id, Message.state == AnswerState.STREAMING
        )
        row = await self.session.first(statement)
        return row.id if row else None

    async def change(self, message_id: UUID, **values: Any) -> bool:
        """Change a message; return whether it exists."""
        statement = update(Message).where(Message.id == message_id).values(**values)
        result = await self.writing.execute(statement.execution_options(synchronize_session=False))
        return bool(cast("CursorResult[Any]", result).rowcount)
