"""Tables of conversations and their messages."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from keel.db.models import Base, Timestamps
from keel.llm.answers.answer import AnswerState


class Conversation(Timestamps, Base):
    """A conversation of one owner: a tree of messages with one branch shown."""

    __tablename__ = "assistant_conversations"
    __table_args__ = (Index(None, "owner_id", "updated_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    owner_id: Mapped[str] = mapped_column(String(255))
    title: Mapped[str | None] = mapped_column(String(200))
    current_id: Mapped[UUID | None]
    """The message that the current branch ends with."""


class Message(Base):
    """A question, or an answer to one. Ids grow with time, so they define the order."""

    __tablename__ = "assistant_messages"
    __table_args__ = (Index(None, "conversation_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    conversation_id: Mapped[UUID] = mapped_column(ForeignKey("assistant_conversations.id", ondelete="CASCADE"))
    parent_id: Mapped[UUID | None]
    role: Mapped[str] = mapped_column(String(32))
    content: Mapped[str] = mapped_column(Text)
    state: Mapped[AnswerState]
    finish_reason: Mapped[str | None] = mapped_column(String(32))
    model: Mapped[str | None] = mapped_column(String(255))
    tools: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    input_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    summary: Mapped[str | None] = mapped_column(Text)
    """A summary of the branch up to here, for the model, once the branch is too long for it."""
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
