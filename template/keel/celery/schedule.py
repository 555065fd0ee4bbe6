"""What is asked for at certain moments, and when it last was."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update

from keel.celery.models import UtcDatetime
from keel.db.database import Database, Session


@dataclass(frozen=True, slots=True)
class Entry:
    """A job and the moments at which beat asks for it."""

    job: str
    cron: str
    payload: Mapping[str, Any] = field(default_factory=dict)


class Schedule:
    """The entries that packages add."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}

    def add(self, name: str, job: str, cron: str, payload: Mapping[str, Any] | None = None) -> None:
        """Have a job done at certain moments.

        Args:
            name: the entry's own, by which its moments are remembered.
            job: a registered name.
            cron: minute, hour, day of the month, month, day of the week, in UTC, such as `0 6 * * *`.
            payload: what the job needs to know.
        """
        self.entries[name] = Entry(job, cron, payload or {})


async def recall(database: Database, names: Iterable[str], now: datetime) -> dict[str, datetime]:
    """Return when entries were last asked for; one that is new is due at its next moment from now on."""
    async with database.transaction() as session:
        known = {moment.name: moment.last_at for moment in await session.scalars(select(UtcDatetime))}
        new = dict.fromkeys(set(names) - known.keys(), now)
        if new:
            await session.execute(insert(UtcDatetime), [{"name": name, "last_at": now} for name in new])
    return known | new


async def advance(session: Session, name: str, last: datetime, now: datetime) -> bool:
    """Write that an entry is asked for now; return False if another process has done so since `last`."""
    statement = update(UtcDatetime).where(UtcDatetime.name == name, UtcDatetime.last_at == last).values(last_at=now)
    return (await session.execute(statement.returning(UtcDatetime.name))).first() is not None
