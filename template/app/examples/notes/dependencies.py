"""How a request gets its services."""

from typing import Annotated

from fastapi import Depends, Security

from app.examples.notes.repository import NoteReader
from app.examples.notes.service import NoteReadService, NoteService
from keel.caller import Caller
from keel.dependencies import CacheDep, PubSubDep, ReadSessionDep, SessionDep
from keel.identity import current_caller

ReaderDep = Annotated[Caller, Security(current_caller, scopes=["notes:read"])]
WriterDep = Annotated[Caller, Security(current_caller, scopes=["notes:write"])]


async def get_read_service(session: ReadSessionDep, caller: ReaderDep) -> NoteReadService:
    """Return what reads the caller's notes."""
    return NoteReadService(NoteReader(session), caller)


async def get_service(session: SessionDep, caller: WriterDep, pubsub: PubSubDep, cache: CacheDep) -> NoteService:
    """Return what changes the caller's notes."""
    return NoteService(session, caller, pubsub, cache)


NotesReadDep = Annotated[NoteReadService, Depends(get_read_service)]
NotesDep = Annotated[NoteService, Depends(get_service)]
