"""HTTP for the crew."""

from uuid import UUID

from fastapi import APIRouter

from app.crew import repository
from keel.dependencies import ReadSessionDep

router = APIRouter(tags=["crew"])


@router.get("/crew/users")
async def list_users(session: ReadSessionDep) -> list[str]:
    """List the crew."""
    return await repository.users(session)


@router.get("/crew/tasks")
async def list_tasks(session: ReadSessionDep) -> list[str]:
    """List the tasks."""
    return await repository.tasks(session)


@router.get("/ships/{ship_id}/events")
async def list_events(session: ReadSessionDep, ship_id: UUID) -> list[str]:
    """List the events of a ship."""
    return await repository.events(session, ship_id)
