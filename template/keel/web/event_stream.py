"""Live changes as server-sent events: messages of a topic, with resume, reset, and an end at logout or shutdown."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.sse import ServerSentEvent

from keel.dependencies import PubSubDep, ShutdownDep
from keel.identity import verification_of
from keel.messaging.feed import Feed
from keel.text import SafeStr
from keel.web.concurrency import Counted
from keel.web.errors import AppError, from_app_error

Events = AsyncIterator[ServerSentEvent]

Ending = Callable[[], Coroutine[Any, Any, None]]


async def get_ending(request: Request, shutdown: ShutdownDep) -> Ending:
    """Return a function that waits for a stream's end: shutdown, or an `AppError` when the token is refused."""
    # The token is verified again for all scopes that dependencies required, including those that run after this one.
    return lambda: verification_of(request).until_shutdown(shutdown)


EndingDep = Annotated[Ending, Depends(get_ending)]


def closed(error: AppError) -> ServerSentEvent:
    """Return the last event of a stream that an error has ended: `closed`, with the problem document."""
    return ServerSentEvent(event="closed", raw_data=bytes(from_app_error(error).body).decode())


def event_stream(topic: Callable[..., Any]) -> Any:
    """Return a dependency that subscribes to a topic before the response begins.

    Use it as `events: Annotated[Events, Depends(event_stream(topic))]` of a path operation that yields them, with
    `response_class=EventSourceResponse`. A client that sends `Last-Event-ID` resumes after that message. The event
    `reset` means that messages were lost, `closed` that the token is no longer valid.

    Args:
        topic: a dependency that returns the name of the topic.
    """

    async def subscribe(
        name: Annotated[str, Depends(topic)],
        pubsub: PubSubDep,
        ending: EndingDep,
        _: Counted,
        last_event_id: Annotated[SafeStr | None, Header(description="Resume after this event")] = None,
    ) -> AsyncGenerator[Events]:
        async with Feed.open(pubsub, name, last_event_id) as feed, aclosing(_events(feed, ending)) as events:
            yield events

    return subscribe


async def _events(feed: Feed, ending: Ending) -> AsyncGenerator[ServerSentEvent]:
    try:
        async with aclosing(feed.until(ending())) as messages:
            async for message in messages:
                if message is None:
                    yield ServerSentEvent(event="reset", data={})
                else:
                    yield ServerSentEvent(id=message.id, event=message.event, raw_data=message.data)
    except AppError as error:
        yield closed(error)
