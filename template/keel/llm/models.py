"""Tables of answers under way, and of token usage."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from keel.db.models import Base


class LlmAnswer(Base):
    """An answer under way. The transaction that stores the answer deletes its row, so each has one outcome."""

    __tablename__ = "llm_answers"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(50))
    """The name of its `AnswerHandler`."""
    owner_id: Mapped[str] = mapped_column(String(255), index=True)
    model: Mapped[str] = mapped_column(String(255))
    text: Mapped[str] = mapped_column(Text)
    """The text at the last heartbeat; likewise `tools`, in the form of events."""
    tools: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    input_tokens: Mapped[int]
    output_tokens: Mapped[int]
    stop_requested: Mapped[bool] = mapped_column(default=False)
    heartbeat_at: Mapped[datetime] = mapped_column(index=True)
    created_at: Mapped[datetime]


class LlmUsage(Base):
    """Tokens that a caller has used on a day (UTC), for answers or in the background."""

    __tablename__ = "llm_usage"

    owner_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True, index=True)
    purpose: Mapped[str] = mapped_column(String(32), primary_key=True)
    input_tokens: Mapped[int] = mapped_column(BigInteger)
    output_tokens: Mapped[int] = mapped_column(BigInteger)
