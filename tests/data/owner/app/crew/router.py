"""HTTP for the crew."""

from uuid import UUID

from fastapi import APIRouter
from sqlalchemy import select

from app.crew.models import Event, Task, User
from keel.dependencies import ReadSessionDep

router = APIRouter(tags=["crew"])


@router.get("/crew/users")
async def list_users(session: ReadSessionDep) -> list[str]:
    """Name the crew."""
    return [row.name for row in await session.all(select(User.name).order_by(User.name))]


@router.get("/crew/tasks")
async def list_tasks(session: ReadSessionDep) -> list[str]:
    """Name what there is to do."""
    return [row.title for row in await session.all(select(Task.title).order_by(Task.id))]


@router.get("/ships/{ship_id}/events")
async def list_events(session: ReadSessionDep, ship_id: UUID) -> list[str]:
    """Tell what has happened to a ship."""
    return [row.text for row in await session.all(select(Event.text).where(Event.ship_id == ship_id))]
