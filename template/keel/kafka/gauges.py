"""Gauges: outbox depth and age, consumer lag, pending retries and dead letters."""

from collections.abc import Mapping

from fastapi import FastAPI
from sqlalchemy import bindparam, func, select

from keel import clock
from keel.kafka.models import ConsumerLag, Delivery, OutboxEvent
from keel.kafka.readiness import REPORTED
from keel.observability.gauges import Gauge
from keel.services import services_of

DEPTH = Gauge("app.outbox.depth", "{event}", "Events in the outbox that are not yet published")
AGE = Gauge("app.outbox.age", "s", "Age of the oldest unpublished event")
LAG = Gauge("app.consumer.lag", "{event}", "Total lag of all consumers")
RETRIES = Gauge("app.consumer.retries", "{event}", "Events waiting for a retry, or for an earlier event with their key")
DEAD = Gauge("app.consumer.dead_letters", "{event}", "Stored dead letters")

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
