"""Queries on the crew."""

from uuid import UUID

from sqlalchemy import select

from app.crew.models import Event, Task, User
from keel.db.database import ReadSession


async def users(session: ReadSession) -> list[str]:
    """Return the names of the crew."""
    return [row.name for row in await session.all(select(User.name).order_by(User.name))]


async def tasks(session: ReadSession) -> list[str]:
    """Return the titles of the tasks."""
    return [row.title for row in await session.all(select(Task.title).order_by(Task.id))]


async def events(session: ReadSession, ship_id: UUID) -> list[str]:
    """Return the events of a ship."""
    return [row.text for row in await session.all(select(Event.text).where(Event.ship_id == ship_id))]
