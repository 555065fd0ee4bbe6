"""Handlers that store answers, one for each kind, in the transaction that ends the answer."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from keel.db.database import ReadSession, Session
from keel.llm.answers.answer import Outcome


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A stored answer, in the form of the last events of its stream."""

    message: str
    """The message as JSON."""
    text: str
    error: str | None = None
    """A problem document, as JSON."""


class AnswerHandler(Protocol):
    """Stores the answers of one kind."""

    async def finish(self, session: Session, outcome: Outcome) -> None:
        """Store the outcome of an answer; its tokens are counted in the same transaction. Called once for each answer.

        Its parent, such as a conversation, may have been deleted meanwhile: then there is nothing to store.
        """

    async def read(self, session: ReadSession, answer_id: UUID) -> StoredAnswer | None:
        """Return a finished answer; None if it was deleted."""
