"""The relay: publishes due tasks, like an outbox."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import bindparam, select, update

from keel import clock
from keel.celery.broker.publisher import Publisher
from keel.celery.enums import UNFINISHED, TaskState
from keel.celery.models import Task
from keel.db.database import Database

BATCH = 500
REPUBLISH_SECONDS = 60.0
"""Pause before a task is published again if no attempt has started; it doubles each time."""

REPUBLISH_SECONDS_MAX = 3600.0

_DUE = (
    select(Task.id, Task.due_at, Task.publish_count)
    .where(Task.state.in_(UNFINISHED), Task.due_at <= bindparam("now", type_=Task.due_at.type))
    .order_by(Task.due_at)
    .limit(BATCH)
)

log = structlog.get_logger()


class Relay:
    """Publishes due tasks: new ones whose message was lost, retries, and tasks of processes that died."""

    def __init__(self, database: Database, publisher: Publisher) -> None:
        self._database = database
        self._publisher = publisher

    async def run(self) -> int:
        """Publish a batch of due tasks; return how many, or 0 if the broker did not accept them."""
        rows = await self._database.read.all(_DUE, {"now": clock.now()})
        if not rows:
            return 0
        async with self._database.transaction() as session:
            for row in rows:
                pause = timedelta(seconds=min(REPUBLISH_SECONDS * 2**row.publish_count, REPUBLISH_SECONDS_MAX))
                # This ends the attempt of a process whose lease has expired; see `keel.celery.tasks.progress`.
                await session.execute(
                    update(Task)
                    .where(Task.id == row.id, Task.due_at == row.due_at, Task.state.in_(UNFINISHED))
                    .values(state=TaskState.PENDING, due_at=clock.now() + pause, publish_count=row.publish_count + 1)
                )
        ids = [row.id for row in rows]
        try:
            await self._publisher.publish_now(ids)
        except Exception as error:  # noqa: BLE001 - the next run tries again
            await log.awarning("tasks_not_published", count=len(ids), error=repr(error))
            await make_due(self._database, ids)
            return 0
        return len(ids)


async def make_due(database: Database, task_ids: Sequence[UUID]) -> None:
    """Leave unpublished tasks to the relay's next run; an outage does not lengthen their pauses."""
    pending = update(Task).where(Task.id.in_(task_ids), Task.state == TaskState.PENDING)
    statement = pending.values(due_at=clock.now(), publish_count=0)
    async with database.transaction() as session:
        await session.execute(statement)
