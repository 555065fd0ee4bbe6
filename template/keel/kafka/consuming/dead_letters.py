"""Dead letters: messages that failed on every attempt. Operators inspect, replay or delete them."""

from collections.abc import Sequence

from sqlalchemy import delete, select, update

from keel import clock
from keel.db.database import AnyRow, ReadSession, Session
from keel.kafka.models import Delivery

_DEAD = Delivery.due_at.is_(None)


async def oldest(session: ReadSession, limit: int) -> Sequence[AnyRow]:
    """Return dead letters, oldest first."""
    return await session.all(select(Delivery.__table__).where(_DEAD).order_by(Delivery.id).limit(limit))


async def get(session: ReadSession, delivery_id: int) -> AnyRow | None:
    """Return a dead letter, or None."""
    return await session.first(select(Delivery.__table__).where(_DEAD, Delivery.id == delivery_id))


async def replay(session: Session, delivery_id: int | None = None) -> int:
    """Queue one dead letter, or all, with as many attempts as a new message; return their number."""
    dead = update(Delivery).where(_DEAD if delivery_id is None else _DEAD & (Delivery.id == delivery_id))
    return len(await session.all(dead.values(due_at=clock.now(), attempts=0).returning(Delivery.id)))


async def discard(session: Session, delivery_id: int) -> int:
    """Delete a dead letter; return the number deleted, 0 or 1."""
    return len(await session.all(delete(Delivery).where(_DEAD, Delivery.id == delivery_id).returning(Delivery.id)))
