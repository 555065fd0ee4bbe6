"""Broadcast: fan-out of messages to everybody who listens to a topic, resumable for a while.

The default lives in this process. A feature may put a shared one in its place, so that several processes hear each
other; whoever publishes or subscribes need not know.
"""

import asyncio
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Protocol

from fastapi import Depends
from fastapi.requests import HTTPConnection

_DIGITS = 20
"""More digits than any message number has, and few enough to read quickly."""


@dataclass(frozen=True, slots=True)
class Message:
    """Something that happened: an id to resume after, a kind, and data that is already encoded."""

    id: str
    event: str
    data: str


class SubscriberTooSlow(Exception):
    """A subscriber fell too far behind; it should resume from the last message that it saw."""


class HistoryLost(Exception):
    """What followed the given message is no longer known; the subscriber should start afresh."""


class Broadcast(Protocol):
    """Where messages are published and heard."""

    async def publish(self, topic: str, event: str, data: str) -> None:
        """Send a message to everybody who listens to a topic."""

    def subscribe(self, topic: str, *, after: str | None = None) -> AbstractAsyncContextManager[AsyncIterator[Message]]:
        """Listen to a topic from now on, or from the message that followed `after`.

        Raises:
            HistoryLost: on entering, if `after` is unknown or too old.
            SubscriberTooSlow: on iterating, if more messages are waiting than are kept for one subscriber.
        """
        ...


@dataclass(slots=True)
class _Topic:
    history: deque[Message]
    subscribers: set[asyncio.Queue[Message]] = field(default_factory=set)
    last: int = 0
    used_at: float = 0.0


class InProcessBroadcast:
    """A broadcast within one process, with a bounded history for each topic."""

    def __init__(self, *, history: int = 256, backlog: int = 256, idle_seconds: float = 600.0) -> None:
        """Keep `history` messages of a topic, and a topic for `idle_seconds` after its last use without listeners."""
        self._history = history
        self._backlog = backlog
        self._idle_seconds = idle_seconds
        # Numbers start again with the process; the epoch tells an old process's ids from our own.
        self._epoch = secrets.token_hex(4)
        self._topics: OrderedDict[str, _Topic] = OrderedDict()

    async def publish(self, topic: str, event: str, data: str) -> None:
        """Send a message to everybody who listens to a topic."""
        channel = self._topic(topic)
        channel.last += 1
        message = Message(f"{self._epoch}-{channel.last}", event, data)
        channel.history.append(message)
        for queue in channel.subscribers:
            if not queue.full():
                queue.put_nowait(message)

    @asynccontextmanager
    async def subscribe(self, topic: str, *, after: str | None = None) -> AsyncGenerator[AsyncIterator[Message]]:
        """Listen to a topic; see `Broadcast.subscribe`."""
        channel = self._topic(topic)
        # No await between looking back and joining, so that nothing is missed or seen twice.
        missed = self._missed(channel, after)
        queue: asyncio.Queue[Message] = asyncio.Queue(self._backlog)
        channel.subscribers.add(queue)
        try:
            yield _listen(missed, queue)
        finally:
            channel.subscribers.discard(queue)
            channel.used_at = time.monotonic()

    def _missed(self, channel: _Topic, after: str | None) -> list[Message]:
        if after is None:
            return []
        epoch, _, number = after.partition("-")
        first = channel.last - len(channel.history)
        ours = epoch == self._epoch and number.isascii() and number.isdigit() and len(number) < _DIGITS
        if not ours or not first <= int(number) <= channel.last:
            raise HistoryLost(after)
        return list(channel.history)[int(number) - first :]

    def _topic(self, name: str) -> _Topic:
        now = time.monotonic()
        self._forget_idle(now)
        channel = self._topics.get(name)
        if channel is None:
            channel = self._topics[name] = _Topic(deque(maxlen=self._history))
        channel.used_at = now
        self._topics.move_to_end(name)
        return channel

    def _forget_idle(self, now: float) -> None:
        """Drop topics from the least recently used end; the work is paid by the topics that were added."""
        while self._topics:
            name, channel = next(iter(self._topics.items()))
            if channel.used_at + self._idle_seconds >= now:
                return
            if channel.subscribers:
                channel.used_at = now
                self._topics.move_to_end(name)
            else:
                del self._topics[name]


async def _listen(missed: list[Message], queue: asyncio.Queue[Message]) -> AsyncIterator[Message]:
    for message in missed:
        yield message
    while True:
        # A full queue may have dropped what came next: whoever reads it must resume instead.
        if queue.full():
            raise SubscriberTooSlow
        yield await queue.get()


async def get_broadcast(connection: HTTPConnection) -> Broadcast:
    """Return the application's broadcast."""
    return connection.app.state.broadcast


BroadcastDep = Annotated[Broadcast, Depends(get_broadcast)]
