"""Who stores answers: a handler for each kind, in the transaction in which the answer ends."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from keel.db.database import ReadSession, Session
from keel.llm.answers.answer import Outcome


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer as it was stored, in the form of the last events of its stream."""

    message: str
    """JSON."""
    text: str
    error: str | None = None
    """A problem document, as JSON."""


class AnswerHandler(Protocol):
    """Stores the answers of one kind."""

    async def finish(self, session: Session, outcome: Outcome) -> None:
        """Store how an answer ended; its tokens are counted in the same transaction. Called once for each answer.

        What it belongs to may have been deleted meanwhile: then there is nothing to store.
        """

    async def read(self, session: ReadSession, answer_id: UUID) -> StoredAnswer | None:
        """Return an answer that has ended; None if it was deleted."""
