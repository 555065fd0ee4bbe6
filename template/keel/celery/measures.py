"""What is measured of tasks, besides the attempts at them, which pass through `keel.background.job_context`."""

from collections.abc import Sequence

from fastapi import FastAPI
from sqlalchemy import bindparam, func, or_, select

from keel import clock
from keel.celery.models import Task
from keel.celery.states import State
from keel.observability.gauges import Gauge
from keel.observability.tracing import meter
from keel.services import services_of

_SENDING = meter.create_histogram(
    "messaging.client.operation.duration",
    unit="s",
    description="How long it took the broker to take a batch of messages",
    explicit_bucket_boundaries_advisory=[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10],
)

GAUGES = (
    Gauge("app.task.queue.depth", "{task}", "Tasks that could be begun"),
    Gauge("app.task.queue.age", "s", "How long the oldest of them has waited"),
    Gauge("app.task.kept.failed", "{task}", "Failed tasks that are kept for an operator"),
)

_WAITING = select(func.count().label("depth"), func.min(Task.created_at).label("oldest")).where(
    Task.state == State.PENDING,
    or_(Task.attempt == 0, Task.due_at <= bindparam("now", type_=Task.due_at.type)),
)
_FAILED = select(func.count()).where(Task.state == State.FAILED)


def sent(system: str, seconds: float, error: BaseException | None) -> None:
    """Count a batch of messages."""
    failure = {"error.type": type(error).__qualname__} if error else {}
    _SENDING.record(seconds, {"messaging.system": system, "messaging.operation.name": "send", **failure})


async def read(app: FastAPI) -> Sequence[float]:
    """Return the values of the gauges."""
    session = services_of(app).database.read
    now = clock.now()
    row = await session.first(_WAITING, {"now": now})
    depth = row.depth if row else 0
    age = (now - row.oldest).total_seconds() if row and row.oldest else 0.0
    return depth, age, await session.scalar(_FAILED)
