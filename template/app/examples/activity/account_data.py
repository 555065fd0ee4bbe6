"""Counts of an account that is deleted or merged."""

from sqlalchemy import delete, select

from app.examples.activity.models import Activity
from keel.db.database import Session
from keel.services import Services


class ActivityAccountData:
    """Counts by their owner."""

    async def delete(self, session: Session, subject: str) -> None:
        """Delete a subject's counts."""
        await session.execute(delete(Activity).where(Activity.owner_id == subject))

    async def transfer_ownership(self, session: Session, old: str, new: str) -> None:
        """Add a subject's counts to another's."""
        for theirs in (await session.scalars(select(Activity).where(Activity.owner_id == old))).all():
            mine = await session.get(Activity, (new, theirs.day))
            if mine is None:
                theirs.owner_id = new
                continue
            mine.created += theirs.created
            mine.updated += theirs.updated
            mine.deleted += theirs.deleted
            await session.delete(theirs)
        await session.flush()


def account_data(_: Services) -> ActivityAccountData:
    """Return the handler of counts, for `keel.auth`."""
    return ActivityAccountData()
