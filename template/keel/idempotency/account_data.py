"""Stored answers of an account that is deleted, or whose data moves to another."""

from sqlalchemy import delete

from keel.db.database import Session
from keel.idempotency.models import StoredAnswer
from keel.services import Services


class StoredAnswerData:
    """Answers by the caller who got them. They tell of the account, so they end with it."""

    async def delete(self, session: Session, subject: str) -> None:
        """Delete the answers to a subject."""
        await session.execute(delete(StoredAnswer).where(StoredAnswer.subject == subject))

    async def transfer_ownership(self, session: Session, old: str, new: str) -> None:  # noqa: ARG002 - the other's keys are its own
        """Delete the answers to a subject that is no more."""
        await self.delete(session, old)


def account_data(_: Services) -> StoredAnswerData:
    """Return the handler of stored answers, for `keel.auth`."""
    return StoredAnswerData()
