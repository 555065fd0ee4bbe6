"""Dependencies: the services of a request."""

from typing import Annotated

from fastapi import Depends, Security

from keel.caller import Caller
from keel.dependencies import PubSubDep, ReadSessionDep, SessionDep
from keel.identity import current_caller
from keel.tests.widgets.service import WidgetReadService, WidgetService

ReaderDep = Annotated[Caller, Security(current_caller, scopes=["widgets:read"])]
WriterDep = Annotated[Caller, Security(current_caller, scopes=["widgets:write"])]


async def get_read_service(session: ReadSessionDep, caller: ReaderDep) -> WidgetReadService:
    """Return the service for read requests."""
    return WidgetReadService(session, caller)


async def get_service(session: SessionDep, caller: WriterDep, pubsub: PubSubDep) -> WidgetService:
    """Return the service for write requests."""
    return WidgetService(session, caller, pubsub)


WidgetsReadDep = Annotated[WidgetReadService, Depends(get_read_service)]
WidgetsDep = Annotated[WidgetService, Depends(get_service)]
