"""How a request gets its services."""

from typing import Annotated

from fastapi import Depends, Security

from app.examples.chat.repository import ChatReader
from app.examples.chat.service import ChatReadService, ChatService
from keel.caller import Caller
from keel.dependencies import ReadSessionDep, SessionDep
from keel.identity import current_caller

ReaderDep = Annotated[Caller, Security(current_caller, scopes=["chat:read"])]
WriterDep = Annotated[Caller, Security(current_caller, scopes=["chat:write"])]


async def get_read_service(session: ReadSessionDep, _: ReaderDep) -> ChatReadService:
    """Return what reads rooms."""
    return ChatReadService(ChatReader(session))


async def get_service(session: SessionDep, caller: WriterDep) -> ChatService:
    """Return what opens rooms."""
    return ChatService(session, caller)


ChatReadDep = Annotated[ChatReadService, Depends(get_read_service)]
ChatDep = Annotated[ChatService, Depends(get_service)]
