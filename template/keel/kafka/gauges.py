"""Gauges of events: what waits to be published, what a consumer is behind, what is dead."""

from collections.abc import Mapping

from fastapi import FastAPI
from sqlalchemy import bindparam, func, select

from keel import clock
from keel.kafka.models import ConsumerLag, Delivery, OutboxEvent
from keel.kafka.readiness import REPORTED
from keel.observability.gauges import Gauge
from keel.services import services_of

DEPTH = Gauge("app.outbox.depth", "{event}", "Events that wait to be published")
AGE = Gauge("app.outbox.age", "s", "Age of the oldest of them")
LAG = Gauge("app.consumer.lag", "{event}", "Events that all consumers together are behind")
RETRIES = Gauge("app.consumer.retries", "{event}", "Events that wait for another attempt, or for one before them")
DEAD = Gauge("app.consumer.dead_letters", "{event}", "Events that no attempt could handle")

_UNSENT = select(func.count().label("depth"), func.min(OutboxEvent.created_at).label("oldest")).where(
    OutboxEvent.sent_at.is_(None)
)
_LAG = select(func.sum(ConsumerLag.lag)).where(
    ConsumerLag.reported_at >= bindparam("since", type_=ConsumerLag.reported_at.type)
)
_DEAD = select(func.count()).where(Delivery.due_at.is_(None))
_WAITING = select(func.count()).where(Delivery.due_at.is_not(None))


async def read(app: FastAPI) -> Mapping[Gauge, float]:
    """Return the current values."""
    session, now = services_of(app).database.read, clock.now()
    row = await session.first(_UNSENT)
    return {
        DEPTH: row.depth if row else 0,
        AGE: (now - row.oldest).total_seconds() if row and row.oldest else 0.0,
        LAG: float(await session.scalar(_LAG, {"since": now - REPORTED}) or 0),
        RETRIES: await session.scalar(_WAITING),
        DEAD: await session.scalar(_DEAD),
    }
