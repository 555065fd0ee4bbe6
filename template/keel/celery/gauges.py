"""Gauges of tasks: queue depth and age."""

from collections.abc import Mapping

from fastapi import FastAPI
from sqlalchemy import bindparam, func, or_, select

from keel import clock
from keel.celery.enums import TaskState
from keel.celery.models import Task
from keel.observability.gauges import Gauge
from keel.services import services_of

DEPTH = Gauge("app.task.queue.depth", "{task}", "Pending tasks that are due")
AGE = Gauge("app.task.queue.age", "s", "Age of the oldest pending task that is due")
FAILED = Gauge("app.task.kept.failed", "{task}", "Stored failed tasks")

_QUEUED = select(func.count().label("depth"), func.min(Task.created_at).label("oldest")).where(
    Task.state == TaskState.PENDING,
    or_(Task.attempt == 0, Task.due_at <= bindparam("now", type_=Task.due_at.type)),
)
_FAILED = select(func.count()).where(Task.state == TaskState.FAILED)


async def read(app: FastAPI) -> Mapping[Gauge, float]:
    """Return the current values."""
    session = services_of(app).database.read
    now = clock.now()
    row = await session.first(_QUEUED, {"now": now})
    depth = row.depth if row else 0
    age = (now - row.oldest).total_seconds() if row and row.oldest else 0.0
    return {DEPTH: depth, AGE: age, FAILED: await session.scalar(_FAILED)}
