"""Live changes to notes, as server-sent events."""

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Depends, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.examples.notes.changes import Changes
from app.examples.notes.dependencies import ReaderDep
from app.examples.notes.service import topic
from keel.dependencies import PubSubDep, ShutdownDep
from keel.identity import RESPONSES
from keel.text import SafeStr

router = APIRouter(prefix="/notes", tags=["notes"], responses=RESPONSES)


async def _following(
    caller: ReaderDep,
    pubsub: PubSubDep,
    last_event_id: Annotated[SafeStr | None, Header(description="Resume after this event")] = None,
) -> AsyncGenerator[Changes]:
    async with Changes.following(pubsub, topic(caller), last_event_id) as changes:
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
