"""Live changes to notes, as server-sent events."""

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Depends, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.core.broadcast import BroadcastDep
from app.core.shutdown import ShutdownDep
from app.core.text import Text
from app.identity import RESPONSES
from app.notes.changes import Changes
from app.notes.dependencies import ReaderDep
from app.notes.service import topic

router = APIRouter(prefix="/notes", tags=["notes"], responses=RESPONSES)


async def _following(
    caller: ReaderDep,
    broadcast: BroadcastDep,
    last_event_id: Annotated[Text | None, Header(description="Resume after this event")] = None,
) -> AsyncGenerator[Changes]:
    async with Changes.following(broadcast, topic(caller), last_event_id) as changes:
        yield changes


@router.get("/events", response_class=EventSourceResponse)
async def note_events(
    changes: Annotated[Changes, Depends(_following)], shutdown: ShutdownDep
) -> AsyncIterable[ServerSentEvent]:
    """Hear of changes to your notes: events `created`, `updated` and `deleted`, each with the note.

    An event `reset` says that changes were missed for good: read the list again. A connection may end at any time;
    browsers come back by themselves and resume after the last event that they saw.
    """
    async with aclosing(changes.until(shutdown.wait())) as messages:
        async for message in messages:
            if message is None:
                yield ServerSentEvent(event="reset", data={})
            else:
                yield ServerSentEvent(id=message.id, event=message.event, raw_data=message.data)
