"""Queries on the outbox."""

from collections.abc import Sequence

from sqlalchemy import select

from keel.db.database import AnyRow, ReadSession
from keel.kafka.models import OutboxEvent

_COLUMNS = select(
    OutboxEvent.position,
    OutboxEvent.id,
    OutboxEvent.type,
    OutboxEvent.aggregatetype,
    OutboxEvent.aggregateid,
    OutboxEvent.key,
    OutboxEvent.created_at,
    OutboxEvent.sent_at,
)


async def page(session: ReadSession, *, waiting: bool | None, before: int | None, limit: int) -> Sequence[AnyRow]:
    """Return events, the latest first.

    Args:
        session: what reads.
        waiting: only those that wait, or only those that are sent; None: both.
        before: only those that were recorded before this position.
        limit: how many at most.
    """
    statement = _COLUMNS.order_by(OutboxEvent.position.desc()).limit(limit)
    if waiting is not None:
        statement = statement.where(OutboxEvent.sent_at.is_(None) if waiting else OutboxEvent.sent_at.is_not(None))
    if before is not None:
        statement = statement.where(OutboxEvent.position < before)
    return await session.all(statement)
