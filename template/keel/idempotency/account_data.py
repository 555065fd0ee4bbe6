"""Stored responses of an account that is deleted or merged."""

from sqlalchemy import delete

from keel.db.database import Session
from keel.idempotency.models import StoredAnswer
from keel.services import Services


class StoredAnswerData:
    """Responses by the caller who received them. They contain data of the account, so they are deleted with it."""

    async def delete(self, session: Session, subject: str) -> None:
        """Delete the responses to a subject."""
        await session.execute(delete(StoredAnswer).where(StoredAnswer.subject == subject))

    async def transfer_ownership(self, session: Session, old: str, new: str) -> None:  # noqa: ARG002 - the new subject has its own keys
        """Delete the responses to the old subject."""
        await self.delete(session, old)


def account_data(_: Services) -> StoredAnswerData:
    """Return the handler of stored responses, for `keel.auth`."""
    return StoredAnswerData()
