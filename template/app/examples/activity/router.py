"""HTTP for the read model."""

from typing import Annotated

from fastapi import APIRouter, Query, Security

from app.examples.activity.repository import ActivityRepository
from app.examples.activity.schemas import ActivityQuery, Day
from keel.caller import Caller
from keel.dependencies import ReadSessionDep
from keel.identity import RESPONSES, current_caller

router = APIRouter(prefix="/activity", tags=["activity"], responses=RESPONSES)

ReaderDep = Annotated[Caller, Security(current_caller, scopes=["notes:read"])]


@router.get("")
async def list_days(query: Annotated[ActivityQuery, Query()], caller: ReaderDep, session: ReadSessionDep) -> list[Day]:
    """List the days on which your notes changed. New changes usually appear within a second."""
    return list(await ActivityRepository(session).days(caller.subject, query.since, query.days))
