"""The schedule: which jobs are enqueued when, and when each last was."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update

from keel.celery.models import ScheduleRun
from keel.db.database import Database, Session


@dataclass(frozen=True, slots=True)
class Entry:
    """A job, and when beat enqueues it."""

    job: str
    cron: str
    payload: Mapping[str, Any] = field(default_factory=dict)


class Schedule:
    """The entries that packages add."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}

    def add(self, name: str, job: str, cron: str, payload: Mapping[str, Any] | None = None) -> None:
        """Enqueue a job at certain times.

        Args:
            name: the entry's own, under which its last run is stored.
            job: a registered name.
            cron: minute, hour, day of the month, month, day of the week, in UTC, such as `0 6 * * *`.
            payload: the job's.
        """
        self.entries[name] = Entry(job, cron, payload or {})


async def load_last_runs(database: Database, names: Iterable[str], now: datetime) -> dict[str, datetime]:
    """Return when each entry last ran; a new one counts as run now, so its first run is its next time."""
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
