"""New widgets, as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from keel.dependencies import PubSubDep, ShutdownDep
from keel.identity import RESPONSES
from keel.messaging.pubsub import Message
from keel.tests.widgets.dependencies import ReaderDep
from keel.tests.widgets.service import topic
from keel.text import SafeStr

router = APIRouter(prefix="/widgets", tags=["widgets"], responses=RESPONSES)


async def _messages(
    caller: ReaderDep, pubsub: PubSubDep, last_event_id: Annotated[SafeStr | None, Header()] = None
) -> AsyncGenerator[AsyncIterator[Message]]:
    """Subscribe before the answer begins: a client that has its head misses nothing."""
    async with pubsub.subscribe(topic(caller), after=last_event_id) as messages:
        yield messages


@router.get("/events", response_class=EventSourceResponse)
async def widget_events(
    messages: Annotated[AsyncIterator[Message], Depends(_messages)], shutdown: ShutdownDep
) -> AsyncIterable[ServerSentEvent]:
    """Send an event `created` with each new widget, until the server stops."""
    stopping = asyncio.ensure_future(shutdown.wait())
    following: asyncio.Future[Message] | None = None
    try:
        while True:
            following = asyncio.ensure_future(anext(messages))
            await asyncio.wait((following, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                return
            message = following.result()
            yield ServerSentEvent(id=message.id, event=message.event, raw_data=message.data)
    finally:
        stopping.cancel()
        if following:
            following.cancel()
