"""New widgets, as server-sent events."""

from collections.abc import AsyncIterable
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.sse import EventSourceResponse, ServerSentEvent

from keel.identity import RESPONSES
from keel.tests.widgets.dependencies import ReaderDep
from keel.tests.widgets.service import topic
from keel.web.event_stream import Events, event_stream

router = APIRouter(prefix="/widgets", tags=["widgets"], responses=RESPONSES)


async def _topic(caller: ReaderDep) -> str:
    return topic(caller)


@router.get("/events", response_class=EventSourceResponse)
async def widget_events(events: Annotated[Events, Depends(event_stream(_topic))]) -> AsyncIterable[ServerSentEvent]:
    """Send an event `created` with each new widget, until the server stops."""
    async for event in events:
        yield event
