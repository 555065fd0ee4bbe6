"""Queries on widgets."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from keel.db.database import AnyRow, ReadSession, Session
from keel.tests.widgets.models import Widget


async def page(session: ReadSession, owner: str, limit: int, before: UUID | None) -> Sequence[AnyRow]:
    """Return an owner's widgets, the newest first."""
    statement = select(Widget.__table__).where(Widget.owner_id == owner)
    if before is not None:
        statement = statement.where(Widget.id < before)
    return await session.all(statement.order_by(Widget.id.desc()).limit(limit))


async def read(session: ReadSession, owner: str, widget_id: UUID) -> AnyRow | None:
    """Return a widget of an owner."""
    return await session.first(select(Widget.__table__).where(Widget.id == widget_id, Widget.owner_id == owner))


async def get(session: Session, owner: str, widget_id: UUID) -> Widget | None:
    """Return a widget of an owner, locked until the transaction ends."""
    statement = select(Widget).where(Widget.id == widget_id, Widget.owner_id == owner)
    return (await session.scalars(statement.with_for_update())).one_or_none()
