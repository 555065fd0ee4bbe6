"""Live changes to notes, as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated

from fastapi import APIRouter, Depends, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.core.broadcast import Broadcast, BroadcastDep, HistoryLost, Message, SubscriberTooSlow
from app.core.shutdown import Shutdown, ShutdownDep
from app.core.text import Text
from app.identity import RESPONSES
from app.notes.dependencies import ReaderDep
from app.notes.service import topic

router = APIRouter(prefix="/notes", tags=["notes"], responses=RESPONSES)


class _Listening:
    """A subscription that can begin again, from now on, when what it should have heard is lost."""

    def __init__(self, broadcast: Broadcast, name: str, stack: AsyncExitStack) -> None:
        self._broadcast = broadcast
        self._name = name
        self._stack = stack
        self.missed = False
        self.messages: AsyncIterator[Message]

    async def begin(self, after: str | None) -> None:
        """Listen from here on; return once nothing is missed any more."""
        try:
            await self._subscribe(after)
        except HistoryLost:
            await self.begin_again()

    async def begin_again(self) -> None:
        self.missed = True
        await self._stack.aclose()
        await self._subscribe(None)

    async def _subscribe(self, after: str | None) -> None:
        subscription = self._broadcast.subscribe(self._name, after=after)
        self.messages = await self._stack.enter_async_context(subscription)


async def _listening(
    caller: ReaderDep,
    broadcast: BroadcastDep,
    last_event_id: Annotated[Text | None, Header(description="Resume after this event")] = None,
) -> AsyncGenerator[_Listening]:
    """Listen before the answer begins: whoever has its headers misses nothing that happens from then on."""
    async with AsyncExitStack() as stack:
        listening = _Listening(broadcast, topic(caller), stack)
        await listening.begin(last_event_id)
        yield listening


@router.get("/events", response_class=EventSourceResponse)
async def note_events(
    listening: Annotated[_Listening, Depends(_listening)], shutdown: ShutdownDep
) -> AsyncIterable[ServerSentEvent]:
    """Hear of changes to your notes: events `created`, `updated` and `deleted`, each with the note.

    An event `reset` says that changes were missed for good: read the list again. A connection may end at any time;
    browsers come back by themselves and resume after the last event that they saw.
    """
    while not shutdown.begun:
        if listening.missed:
            yield ServerSentEvent(event="reset", data={})
        try:
            async for event in _until_shutdown(listening.messages, shutdown):
                yield event
        except HistoryLost:
            await listening.begin_again()
        else:
            return


async def _until_shutdown(messages: AsyncIterator[Message], shutdown: Shutdown) -> AsyncIterator[ServerSentEvent]:
    """Pass messages on until the process is about to stop, or the reader cannot keep up; either way it comes back."""
    ending = asyncio.ensure_future(shutdown.wait())
    following: asyncio.Future[Message] | None = None
    try:
        while not shutdown.begun:
            following = asyncio.ensure_future(anext(messages))
            await asyncio.wait((following, ending), return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                return
            message = following.result()
            yield ServerSentEvent(id=message.id, event=message.event, raw_data=message.data)
    except SubscriberTooSlow:
        return
    finally:
        ending.cancel()
        if following:
            following.cancel()
