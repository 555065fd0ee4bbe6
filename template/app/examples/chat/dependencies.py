"""Dependencies of the endpoints, and the scopes that they need."""

from typing import Annotated

from fastapi import Depends, Security

from app.examples.chat.repository import ChatReader
from app.examples.chat.service import ChatReadService, ChatService
from keel.caller import Caller
from keel.dependencies import ReadSessionDep, SessionDep
from keel.identity import current_caller

READ, WRITE = "chat:read", "chat:write"

ReaderDep = Annotated[Caller, Security(current_caller, scopes=[READ])]
WriterDep = Annotated[Caller, Security(current_caller, scopes=[WRITE])]


async def get_read_service(session: ReadSessionDep, _: ReaderDep) -> ChatReadService:
    """Return the service that reads rooms."""
    return ChatReadService(ChatReader(session))


async def get_service(session: SessionDep, caller: WriterDep) -> ChatService:
    """Return the service that opens rooms."""
    return ChatService(session, caller)


ChatReadDep = Annotated[ChatReadService, Depends(get_read_service)]
ChatDep = Annotated[ChatService, Depends(get_service)]
