"""Live changes to notes, as server-sent events."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.core.broadcast import BroadcastDep, HistoryLost, Message, SubscriberTooSlow
from app.core.shutdown import Shutdown, ShutdownDep
from app.core.text import Text
from app.identity import RESPONSES
from app.notes.dependencies import ReaderDep
from app.notes.service import topic

router = APIRouter(prefix="/notes", tags=["notes"], responses=RESPONSES)


@router.get("/events", response_class=EventSourceResponse)
async def note_events(
    caller: ReaderDep,
    broadcast: BroadcastDep,
    shutdown: ShutdownDep,
    last_event_id: Annotated[Text | None, Header(description="Resume after this event")] = None,
) -> AsyncIterable[ServerSentEvent]:
    """Hear of changes to your notes: events `created`, `updated` and `deleted`, each with the note.

    An event `reset` says that changes were missed for good: read the list again. A connection may end at any time;
    browsers come back by themselves and resume after the last event that they saw.
    """
    try:
        async with broadcast.subscribe(topic(caller), after=last_event_id) as messages:
            async for event in _until_shutdown(messages, shutdown):
                yield event
    except HistoryLost:
        async with broadcast.subscribe(topic(caller)) as messages:
            yield ServerSentEvent(event="reset", data={})
            async for event in _until_shutdown(messages, shutdown):
                yield event


async def _until_shutdown(messages: AsyncIterator[Message], shutdown: Shutdown) -> AsyncIterator[ServerSentEvent]:
    """Pass messages on until the process is about to stop, or the reader cannot keep up; either way it comes back."""
    ending = asyncio.ensure_future(shutdown.wait())
    try:
        while not shutdown.begun:
            following = asyncio.ensure_future(anext(messages))
            await asyncio.wait((following, ending), return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                following.cancel()
                return
            message = following.result()
            yield ServerSentEvent(id=message.id, event=message.event, raw_data=message.data)
    except SubscriberTooSlow:
        return
    finally:
        ending.cancel()
