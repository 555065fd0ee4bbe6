"""The relay: looks after tasks whose moment has come and of which nothing has been heard."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import bindparam, select, update

from keel import clock
from keel.celery.announcing import Announcer
from keel.celery.models import Task
from keel.celery.states import UNFINISHED, State
from keel.db.database import Database

BATCH = 500
PATIENCE = 60.0
"""Seconds until a task is announced again that nobody has begun; they double each time."""

LONGEST = 3600.0

_DUE = (
    select(Task.id, Task.due_at, Task.announcements)
    .where(Task.state.in_(UNFINISHED), Task.due_at <= bindparam("now", type_=Task.due_at.type))
    .order_by(Task.due_at)
    .limit(BATCH)
)

log = structlog.get_logger()


class Relay:
    """Announces what is due: new tasks that no message went out for, retries, and what a dead process has left."""

    def __init__(self, database: Database, announcer: Announcer) -> None:
        self._database = database
        self._announcer = announcer

    async def run(self) -> int:
        """Announce what is due, a batch at most, if the broker takes it; return how many tasks that were."""
        rows = await self._database.read.all(_DUE, {"now": clock.now()})
        if not rows:
            return 0
        async with self._database.transaction() as session:
            for row in rows:
                pause = timedelta(seconds=min(PATIENCE * 2**row.announcements, LONGEST))
                # A process that has been silent for too long loses its task here; see `keel.celery.progress`.
                await session.execute(
                    update(Task)
                    .where(Task.id == row.id, Task.due_at == row.due_at, Task.state.in_(UNFINISHED))
                    .values(state=State.PENDING, due_at=clock.now() + pause, announcements=row.announcements + 1)
                )
        ids = [row.id for row in rows]
        try:
            await self._announcer.deliver(ids)
        except Exception as error:  # noqa: BLE001 - a broker that is away comes back
            await log.awarning("tasks_not_announced", count=len(ids), error=repr(error))
            await make_due(self._database, ids)
            return 0
        return len(ids)


async def make_due(database: Database, task_ids: Sequence[UUID]) -> None:
    """Leave tasks that could not be announced to the relay's next look; an outage counts as no announcement."""
    pending = update(Task).where(Task.id.in_(task_ids), Task.state == State.PENDING)
    statement = pending.values(due_at=clock.now(), announcements=0)
    async with database.transaction() as session:
        await session.execute(statement)
