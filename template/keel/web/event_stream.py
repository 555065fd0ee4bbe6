"""Live changes as server-sent events: messages of a topic, with resume, reset and an end at shutdown."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import Depends, Header
from fastapi.sse import ServerSentEvent

from keel.dependencies import PubSubDep, ShutdownDep
from keel.messaging.feed import Feed
from keel.text import SafeStr
from keel.web.concurrency import Counted

Events = AsyncIterator[ServerSentEvent]


def event_stream(topic: Callable[..., Any]) -> Any:
    """Return a dependency that subscribes to a topic before the response begins.

    Use it as `events: Annotated[Events, Depends(event_stream(topic))]` of a path operation that yields them, with
    `response_class=EventSourceResponse`. A client that sends `Last-Event-ID` resumes after that message. The event
    `reset` means that messages were lost.

    Args:
        topic: a dependency that returns the name of the topic.
    """

    async def subscribe(
        name: Annotated[str, Depends(topic)],
        pubsub: PubSubDep,
        shutdown: ShutdownDep,
        _: Counted,
        last_event_id: Annotated[SafeStr | None, Header(description="Resume after this event")] = None,
    ) -> AsyncGenerator[Events]:
        async with Feed.open(pubsub, name, last_event_id) as feed, aclosing(_events(feed, shutdown.wait)) as events:
            yield events

    return subscribe


async def _events(feed: Feed, ending: Callable[[], Any]) -> AsyncGenerator[ServerSentEvent]:
    async with aclosing(feed.until(ending())) as messages:
        async for message in messages:
            if message is None:
                yield ServerSentEvent(event="reset", data={})
            else:
                yield ServerSentEvent(id=message.id, event=message.event, raw_data=message.data)
