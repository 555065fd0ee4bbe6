"""Queries on the read model."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import delete, insert, select, update

from app.examples.activity.models import Activity
from app.examples.activity.schemas import Day
from keel.db.repository import Repository


class ActivityRepository(Repository[Activity]):
    """Counts by owner and day."""

    model = Activity

    async def count_event(self, owner_id: str, day: date, column: str) -> None:
        """Count one event."""
        key = {"owner_id": owner_id, "day": day}
        counted = getattr(Activity, column)
        increased = update(Activity).filter_by(**key).values({counted: counted + 1}).returning(Activity.day)
        if (await self.writing.execute(increased)).first() is None:
            # Events of one owner are handled in sequence, so no other process inserts the row meanwhile.
            await self.writing.execute(insert(Activity).values({**key, column: 1}))

    async def clear(self) -> None:
        """Delete everything."""
        await self.writing.execute(delete(Activity))

    async def days(self, owner_id: str, since: date, limit: int) -> Sequence[Day]:
        """Return the days on which an owner's notes changed, earliest first."""
        columns = (Activity.day, Activity.created, Activity.updated, Activity.deleted)
        statement = select(*columns).where(Activity.owner_id == owner_id, Activity.day >= since)
        rows = await self.session.all(statement.order_by(Activity.day).limit(limit))
        return [Day.model_validate(row) for row in rows]
