"""PubSub: fan-out of messages to everybody who listens to a topic, resumable for a while.

The default lives in this process. A feature may put a shared one in its place, so that several processes hear each
other; whoever publishes or subscribes need not know.
"""

import asyncio
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol, Self

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, get_current_span

from keel.observability import tracing

_PUBLISHED = tracing.meter.create_counter(
    "app.pubsub.messages", unit="{message}", description="Messages that this process has published, by kind of topic"
)
_ENDED = tracing.meter.create_counter(
    "app.pubsub.subscriptions.lost",
    unit="{subscription}",
    description="Subscriptions that ended since messages were lost, or came too fast",
)

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


class PubSub(Protocol):
    """Where messages are published and heard.

    Messages of a topic come to everybody in the same order, each once. One that cannot be sent is not sent later: who
    should have heard it gets `HistoryLost` as soon as that can be told.
    """

    @property
    def listeners(self) -> int:
        """How many subscriptions of this process are open."""
        ...

    async def publish(self, topic: str, event: str, data: str) -> None:
        """Send a message to everybody who listens to a topic. An outage is no error."""

    def subscribe(self, topic: str, *, after: str | None = None) -> AbstractAsyncContextManager[AsyncIterator[Message]]:
        """Listen to a topic from now on, or from the message that followed `after`.

        Raises:
            HistoryLost: on entering, if `after` is unknown or too old; on iterating, if messages got lost meanwhile.
            SubscriberTooSlow: on iterating, if more messages are waiting than are kept for one subscriber.
        """
        ...


class Backlog:
    """The messages that wait for one subscriber, an asynchronous iterator over them."""

    def __init__(self, size: int, waiting: Iterable[Message] = ()) -> None:
        """Begin with some messages, and let `size` more wait."""
        self._waiting = deque(waiting)
        self._size = size + len(self._waiting)
        self._error: Exception | None = None
        self._news = asyncio.Event()

    def put(self, message: Message) -> None:
        """Add a message; if too many wait, the subscriber is told so instead of hearing any of them."""
        if len(self._waiting) >= self._size:
            self.fail(SubscriberTooSlow())
        self._waiting.append(message)
        self._news.set()

    def fail(self, error: Exception) -> None:
        """End the subscription with an error, the first one of several."""
        if self._error is None:
            _ENDED.add(1, {"error.type": type(error).__qualname__})
        self._error = self._error or error
        self._waiting.clear()
        self._news.set()

    def __aiter__(self) -> Self:
        """Return the messages from here on."""
        return self

    async def __anext__(self) -> Message:
        """Return the next message, once there is one."""
        while True:
            if self._error:
                raise self._error
            if self._waiting:
                return self._waiting.popleft()
            self._news.clear()
            await self._news.wait()


def publishing(topic: str) -> AbstractContextManager[None]:
    """See that a message is published. Of the topic, only its kind is told: the rest may name a person."""
    kind = topic.partition(":")[0]
    _PUBLISHED.add(1, {"app.pubsub.topic": kind})
    if not get_current_span().is_recording():
        return nullcontext()
    return tracing.step(f"publish {kind}", kind=SpanKind.PRODUCER, attributes={"messaging.operation.type": "send"})


def hearing(topic: str, context: Context) -> AbstractContextManager[None]:
    """See that a message of another process is given to subscribers, in the trace in which it was published."""
    kind = topic.partition(":")[0]
    attributes = {"messaging.operation.type": "process"}
    return tracing.step(f"process {kind}", kind=SpanKind.CONSUMER, context=context, attributes=attributes)


@dataclass(slots=True)
class _Topic:
    history: deque[Message]
    subscribers: set[Backlog] = field(default_factory=set)
    last: int = 0
    used_at: float = 0.0


class InProcessPubSub:
    """A pubsub within one process, with a bounded history for each topic."""

    def __init__(self, *, history: int = 256, backlog: int = 256, idle_seconds: float = 600.0) -> None:
        """Keep `history` messages of a topic, and a topic for `idle_seconds` after its last use without listeners."""
        self._history = history
        self._backlog = backlog
        self._idle_seconds = idle_seconds
        # Numbers start again with the process; the epoch tells an old process's ids from our own.
        self._epoch = secrets.token_hex(4)
        self._topics: OrderedDict[str, _Topic] = OrderedDict()

    @property
    def listeners(self) -> int:
        """How many subscriptions of this process are open."""
        return sum(len(topic.subscribers) for topic in list(self._topics.values()))

    async def publish(self, topic: str, event: str, data: str) -> None:
        """Send a message to everybody who listens to a topic."""
        channel = self._topic(topic)
        channel.last += 1
        message = Message(f"{self._epoch}-{channel.last}", event, data)
        with publishing(topic):
            channel.history.append(message)
            for backlog in channel.subscribers:
                backlog.put(message)

    @asynccontextmanager
    async def subscribe(self, topic: str, *, after: str | None = None) -> AsyncGenerator[AsyncIterator[Message]]:
        """Listen to a topic; see `PubSub.subscribe`."""
        channel = self._topic(topic)
        # No await between looking back and joining, so that nothing is missed or seen twice.
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
