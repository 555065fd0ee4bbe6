"""Dependencies that provide the assistant's services."""

from typing import Annotated

from fastapi import Depends, Security

from app.examples.assistant.service import ConversationService
from keel.caller import Caller
from keel.dependencies import ReadSessionDep, ServicesDep, SessionDep
from keel.identity import current_caller

READ, WRITE = "assistant:read", "assistant:write"

ReaderDep = Annotated[Caller, Security(current_caller, scopes=[READ])]
WriterDep = Annotated[Caller, Security(current_caller, scopes=[WRITE])]


async def get_read_service(session: ReadSessionDep, caller: ReaderDep, services: ServicesDep) -> ConversationService:
    """Return the service for a request that reads."""
    return ConversationService(session, caller, services)


async def get_service(session: SessionDep, caller: WriterDep, services: ServicesDep) -> ConversationService:
    """Return the service for a request that writes, in one transaction."""
    return ConversationService(session, caller, services)


ConversationsReadDep = Annotated[ConversationService, Depends(get_read_service)]
ConversationsDep = Annotated[ConversationService, Depends(get_service)]
