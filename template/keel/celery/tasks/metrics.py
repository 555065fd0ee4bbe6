"""Metrics of the queue and of publishing; attempts are measured through `keel.background.job_context`."""

from collections.abc import Sequence

from sqlalchemy import bindparam, func, or_, select

from keel import clock
from keel.celery.enums import TaskState
from keel.celery.models import Task
from keel.db.database import Database
from keel.observability.gauges import Gauge
from keel.observability.tracing import meter

_SENDING = meter.create_histogram(
    "messaging.client.operation.duration",
    unit="s",
    description="How long it took the broker to accept a batch of messages",
    explicit_bucket_boundaries_advisory=[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10],
)

GAUGES = (
    Gauge("app.task.queue.depth", "{task}", "Pending tasks that are due"),
    Gauge("app.task.queue.age", "s", "Age of the oldest of them"),
    Gauge("app.task.kept.failed", "{task}", "Failed tasks that are stored"),
)

_WAITING = select(func.count().label("depth"), func.min(Task.created_at).label("oldest")).where(
    Task.state == TaskState.PENDING,
    or_(Task.attempt == 0, Task.due_at <= bindparam("now", type_=Task.due_at.type)),
)
_FAILED = select(func.count()).where(Task.state == TaskState.FAILED)


def record_publish(system: str, seconds: float, error: BaseException | None) -> None:
    """Record a batch of messages."""
    failure = {"error.type": type(error).__qualname__} if error else {}
    _SENDING.record(seconds, {"messaging.system": system, "messaging.operation.name": "send", **failure})


async def read(database: Database) -> Sequence[float]:
    """Return the values of the gauges."""
    now = clock.now()
    row = await database.read.first(_WAITING, {"now": now})
    depth = row.depth if row else 0
    age = (now - row.oldest).total_seconds() if row and row.oldest else 0.0
    return depth, age, await database.read.scalar(_FAILED)
