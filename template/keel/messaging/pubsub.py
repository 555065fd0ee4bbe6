"""Publish/subscribe: messages fan out to the subscribers of a topic and can be resumed from a bounded history.

The default works within one process. A feature may replace it with one that all processes share; publishers and
subscribers need no change.
"""

import asyncio
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol, Self

from opentelemetry.trace import SpanKind, get_current_span

from keel.observability import tracing

_PUBLISHED = tracing.meter.create_counter(
    "app.pubsub.messages", unit="{message}", description="Messages published by this process, by kind of topic"
)
_ENDED = tracing.meter.create_counter(
    "app.pubsub.subscriptions.lost",
    unit="{subscription}",
    description="Subscriptions ended because messages were lost, or arrived too fast",
)

_DIGITS = 20
"""Longer than any message number, short enough to parse quickly."""

MAX_CHARACTERS = 1_048_576
"""Limit of a subscriber's backlog and of a topic's history, in characters: a message count bounds no memory."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message: its id (to resume after), the event's name, and encoded data."""

    id: str
    event: str
    data: str


class SubscriberTooSlow(Exception):
    """The subscriber fell too far behind; it can resume after the last message that it received."""


class HistoryLost(Exception):
    """The messages after the given one are no longer available; the subscriber must reload its state."""


class PubSub(Protocol):
    """Publishes messages and subscribes to topics.

    All subscribers of a topic receive its messages once, in the same order, which keeps the order of each publisher.
    A message that cannot be sent is not retried: subscribers get `HistoryLost` as soon as the outage is detected.
    """

    @property
    def listeners(self) -> int:
        """Number of open subscriptions of this process."""
        ...

    async def publish(self, topic: str, event: str, data: str) -> None:
        """Publish a message to the subscribers of a topic. Does not raise when the backend is unavailable."""

    def subscribe(self, topic: str, *, after: str | None = None) -> AbstractAsyncContextManager[AsyncIterator[Message]]:
        """Subscribe to a topic, from now on or from the message after `after`.

        Raises:
            HistoryLost: on entering, if `after` is unknown or too old; on iterating, if messages were lost.
            SubscriberTooSlow: on iterating, if the subscriber's backlog is full.
        """
        ...


class Backlog:
    """The bounded queue of one subscriber, an asynchronous iterator."""

    def __init__(self, size: int, waiting: Iterable[Message] = ()) -> None:
        """Start with `waiting`, and hold up to `size` more."""
        self._waiting = deque(waiting)
        self._size = size + len(self._waiting)
        self._held = sum(len(message.data) for message in self._waiting)
        self._room = self._held + MAX_CHARACTERS
        self._error: Exception | None = None
        self._news = asyncio.Event()

    def put(self, message: Message) -> None:
        """Add a message; a full queue is dropped and ends with `SubscriberTooSlow`."""
        if self._error:
            return
        self._held += len(message.data)
        if len(self._waiting) >= self._size or (self._waiting and self._held > self._room):
            self.fail(SubscriberTooSlow())
            return
        self._waiting.append(message)
        self._news.set()

    def fail(self, error: Exception) -> None:
        """End the subscription with an error; the first one counts."""
        if self._error is None:
            _ENDED.add(1, {"error.type": type(error).__qualname__})
        self._error = self._error or error
        self._waiting.clear()
        self._news.set()

    def __aiter__(self) -> Self:
        """Return the iterator."""
        return self

    async def __anext__(self) -> Message:
        """Wait for the next message."""
        while True:
            if self._error:
                raise self._error
            if self._waiting:
                message = self._waiting.popleft()
                self._held -= len(message.data)
                return message
            self._news.clear()
            await self._news.wait()


def publishing(topic: str) -> AbstractContextManager[None]:
    """Trace and count a published message. Only the topic's prefix is recorded: the rest may be personal data."""
    kind = topic.partition(":")[0]
    _PUBLISHED.add(1, {"app.pubsub.topic": kind})
    if not get_current_span().is_recording():
        return nullcontext()
    return tracing.step(f"publish {kind}", kind=SpanKind.PRODUCER, attributes={"messaging.operation.type": "send"})


@dataclass(slots=True)
class _Topic:
    history: deque[Message]
    subscribers: set[Backlog] = field(default_factory=set)
    last: int = 0
    used_at: float = 0.0
    kept: int = 0
    """Characters of data in the history."""

    def keep(self, message: Message) -> None:
        """Add a message to the history, and drop the oldest ones beyond its limits."""
        if len(self.history) == self.history.maxlen:
            self.kept -= len(self.history.popleft().data)
        self.history.append(message)
        self.kept += len(message.data)
        while self.kept > MAX_CHARACTERS:
            self.kept -= len(self.history.popleft().data)


class InProcessPubSub:
    """Publish/subscribe within one process, with a bounded history per topic."""

    def __init__(self, *, history: int = 256, backlog: int = 256, idle_seconds: float = 600.0) -> None:
        """Keep `history` messages of a topic, and a topic for `idle_seconds` after its last use without listeners."""
        self._history = history
        self._backlog = backlog
        self._idle_seconds = idle_seconds
        # Numbers restart with the process; the epoch distinguishes ids of an earlier process.
        self._epoch = secrets.token_hex(4)
        self._topics: OrderedDict[str, _Topic] = OrderedDict()

    @property
    def listeners(self) -> int:
        """Number of open subscriptions of this process."""
        return sum(len(topic.subscribers) for topic in list(self._topics.values()))

    async def publish(self, topic: str, event: str, data: str) -> None:
        """Publish a message to the subscribers of a topic."""
        channel = self._topic(topic)
        channel.last += 1
        message = Message(f"{self._epoch}-{channel.last}", event, data)
        with publishing(topic):
            channel.keep(message)
            for backlog in channel.subscribers:
                backlog.put(message)

    @asynccontextmanager
    async def subscribe(self, topic: str, *, after: str | None = None) -> AsyncGenerator[AsyncIterator[Message]]:
        """Subscribe to a topic; see `PubSub.subscribe`."""
        channel = self._topic(topic)
        # No await between reading the history and joining, so that no message is missed or delivered twice.
        backlog = Backlog(self._backlog, self._missed(channel, after))
        channel.subscribers.add(backlog)
        try:
            yield backlog
        finally:
            channel.subscribers.discard(backlog)
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
        """Evict idle topics, least recently used first."""
        while self._topics:
            name, channel = next(iter(self._topics.items()))
            if channel.used_at + self._idle_seconds >= now:
                return
            if channel.subscribers:
                channel.used_at = now
                self._topics.move_to_end(name)
            else:
                del self._topics[name]
