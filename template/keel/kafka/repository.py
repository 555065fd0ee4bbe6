"""Queries of the outbox."""

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
    """Return a page of events, latest first.

    Args:
        session: the session to read with.
        waiting: True for waiting events only, False for sent ones only, None for both.
        before: only events recorded before this position.
        limit: maximum number of events.
    """
    statement = _COLUMNS.order_by(OutboxEvent.position.desc()).limit(limit)
    if waiting is not None:
        statement = statement.where(OutboxEvent.sent_at.is_(None) if waiting else OutboxEvent.sent_at.is_not(None))
    if before is not None:
        statement = statement.where(OutboxEvent.position < before)
    return await session.all(statement)
