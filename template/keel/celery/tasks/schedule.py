"""When each entry of the schedule last ran."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import insert, select, update

from keel.celery.models import ScheduleRun
from keel.db.database import Database, Session


async def load_last_runs(database: Database, names: Iterable[str], now: datetime) -> dict[str, datetime]:
    """Return when each entry last ran; a new entry counts as run now, so it first runs at its next time."""
    async with database.transaction() as session:
        known = {run.name: run.last_run_at for run in await session.scalars(select(ScheduleRun))}
        new = dict.fromkeys(set(names) - known.keys(), now)
        if new:
            await session.execute(insert(ScheduleRun), [{"name": name, "last_run_at": now} for name in new])
    return known | new


async def record_run(session: Session, name: str, last: datetime, now: datetime) -> bool:
    """Record that an entry runs now; return False if another process has run it since `last`."""
    unchanged = (ScheduleRun.name == name, ScheduleRun.last_run_at == last)
    statement = update(ScheduleRun).where(*unchanged).values(last_run_at=now)
    return (await session.execute(statement.returning(ScheduleRun.name))).first() is not None
