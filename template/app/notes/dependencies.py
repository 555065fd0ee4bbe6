"""How a request gets its services."""

from typing import Annotated

from fastapi import Depends, Security

from app.core.broadcast import BroadcastDep
from app.core.cache import CacheDep
from app.core.caller import Caller
from app.core.database import ReadSessionDep, SessionDep
from app.identity import current_caller
from app.notes.repository import NoteReader
from app.notes.service import NoteReadService, NoteService

ReaderDep = Annotated[Caller, Security(current_caller, scopes=["notes:read"])]
WriterDep = Annotated[Caller, Security(current_caller, scopes=["notes:write"])]


async def get_read_service(session: ReadSessionDep, caller: ReaderDep) -> NoteReadService:
    """Return what reads the caller's notes."""
    return NoteReadService(NoteReader(session), caller)


async def get_service(session: SessionDep, caller: WriterDep, broadcast: BroadcastDep, cache: CacheDep) -> NoteService:
    """Return what changes the caller's notes."""
    return NoteService(session, caller, broadcast, cache)


NotesReadDep = Annotated[NoteReadService, Depends(get_read_service)]
NotesDep = Annotated[NoteService, Depends(get_service)]
