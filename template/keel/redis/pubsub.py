"""Pub/sub between processes.

Each topic is a Redis stream: its entries are the messages, in the same order for all subscribers, and each contains the
id of the previous one. The script that adds an entry also publishes it to the processes, which subscribe over one
connection each. If an entry does not follow the last one that a listener has seen, the missing ones are read from the
stream. A process publishes through its own queue (`keel.redis.outbound`).
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field

import structlog
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from keel.messaging.pubsub import Backlog, HistoryLost, Message, publishing
from keel.observability import tracing
from keel.observability.calls import carried, carrier
from keel.redis.connection import GuardedConnection, RedisUnavailable
from keel.redis.outbound import Outbound
from keel.redis.reader import Reader
from keel.redis.scripts import Script

PUBLISH = Script(
    """
    local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
    local before = ARGV[6] or (last[1] and last[1][1]) or ''
    local id = redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[3], '*', 'before', before, 'event', ARGV[1], 'data', ARGV[2])
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
    redis.call('PUBLISH', KEYS[1], id .. '\\n' .. before .. '\\n' .. ARGV[5] .. '\\n' .. ARGV[1] .. '\\n' .. ARGV[2])
    return id
    """
)

SINCE = Script(
    """
    local after, entries = ARGV[1], {}
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    if after ~= 'now' then
        entries = redis.call('XRANGE', KEYS[1], after == '' and '-' or '(' .. after, '+')
    end
    if #entries > 0 then
        return {entries, entries[#entries][1]}
    end
    local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
    return {entries, last[1] and last[1][1] or ''}
    """
)

TRACE = "traceparent"

GAP = "?"
"""Replaces the id of the previous entry if messages were lost in between."""

MAX_GAPS = 10_000
_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}\Z")
_LARGEST = 2**64

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Entry:
    id: str
    before: str
    message: Message


@dataclass(slots=True, eq=False)
class _Listener:
    backlog: Backlog
    last: str | None
    """The id of the last delivered entry; "" before the first of the topic, None if Redis was unavailable."""
    joining: list[_Entry] | None = field(default_factory=list)
    """Entries that arrived while `last` was being read."""


class RedisPubSub:
    """Pub/sub between all processes, with a bounded history per topic."""

    def __init__(
        self,
        connection: GuardedConnection,
        *,
        prefix: str,
        history: int = 256,
        history_seconds: float = 3600,
        backlog: int = 256,
    ) -> None:
        """Keep `history` messages of a topic for `history_seconds` after its last use."""
        self._connection = connection
        self._prefix = f"{prefix}topic:"
        self._limits = (history, int(history_seconds * 1000))
        self._backlog = backlog
        self._listeners: dict[str, set[_Listener]] = {}
        self._gaps: dict[str, None] = {}
        self.reader = Reader(connection, self._on_message, self.catch_up)
        self._outbound = Outbound(connection, PUBLISH, self._lost)
        connection.on_reconnect(self._publish_gaps)

    @property
    def listeners(self) -> int:
        """Number of open subscriptions of this process."""
        return sum(map(len, list(self._listeners.values())))

    async def publish(self, topic: str, event: str, data: str) -> None:
        """Publish a message to all subscribers of a topic; queued messages of this process share a round trip."""
        with publishing(topic):
            trace = carrier().get(TRACE, "")
            await self._outbound.put(self._prefix + topic, (event, data, *self._limits, trace))

    async def drain(self) -> None:
        """Return when the queue is empty."""
        await self._outbound.drain()

    @asynccontextmanager
    async def subscribe(self, topic: str, *, after: str | None = None) -> AsyncGenerator[AsyncIterator[Message]]:
        """Subscribe to a topic; see `PubSub.subscribe`."""
        if after is not None and not _is_id(after):
            raise HistoryLost(after)
        stream = self._prefix + topic
        listener = _Listener(Backlog(self._backlog), after)
        self._listeners.setdefault(stream, set()).add(listener)
        try:
            await self._start(stream, listener)
            yield listener.backlog
        finally:
            others = self._listeners[stream]
            others.discard(listener)
            if not others:
                del self._listeners[stream]
                self.reader.leave(stream)

    async def catch_up(self) -> None:
        """Deliver missed messages, report lost ones, and renew the expiry of topics with listeners."""
        if not self._connection.unavailable:
            await self._publish_gaps()
        for stream, listeners in list(self._listeners.items()):
            await self._fill_gaps(stream, [item for item in listeners if item.joining is None])

    async def _start(self, stream: str, listener: _Listener) -> None:
        """Read the starting position; if Redis is unavailable, `catch_up` does it later."""
        try:
            await self.reader.join(stream)
            entries, last = await self._since(stream, listener.last)
        except RedisUnavailable:
            listener.joining = None
            return
        if listener.last is None:
            listener.last = last
        else:
            _check(entries, listener.last, last)
            listener.backlog = Backlog(self._backlog, [entry.message for entry in entries])
            listener.last = last
        came, listener.joining = listener.joining or (), None
        gaps = [entry for entry in came if not _deliver(entry, listener)]
        if gaps:
            with suppress(RedisUnavailable):
                await self._fill_gaps(stream, [listener])

    async def _on_message(self, stream: str, payload: str) -> None:
        """Deliver a published entry to the listeners of this process."""
        id_, before, trace, event, data = payload.split("\n", 4)
        entry = _Entry(id_, before, Message(id_, event, data))
        with _hearing(stream.removeprefix(self._prefix), carried({TRACE: trace})):
            behind = [item for item in self._listeners.get(stream, ()) if not _deliver(entry, item)]
            if behind:
                await self._fill_gaps(stream, behind)

    async def _fill_gaps(self, stream: str, listeners: Sequence[_Listener]) -> None:
        for last_seen in {listener.last for listener in listeners}:
            group = [listener for listener in listeners if listener.last == last_seen]
            if last_seen is None:
                # It subscribed during an outage: its first message is unknown.
                for listener in group:
                    listener.backlog.fail(HistoryLost())
                continue
            entries, last = await self._since(stream, last_seen)
            try:
                _check(entries, last_seen, last)
            except HistoryLost as lost:
                for listener in group:
                    listener.backlog.fail(lost)
                continue
            for listener in group:
                for entry in entries:
                    _deliver(entry, listener)

    async def _since(self, stream: str, after: str | None) -> tuple[list[_Entry], str]:
        """Return the entries after an id, and the id of the last entry."""
        where = "now" if after is None else after
        found, last = await self._connection.run(lambda client: SINCE(client, stream, where, self._limits[1]))
        return [_entry(id_.decode(), fields) for id_, fields in found], last.decode()

    async def _lost(self, streams: Sequence[str]) -> None:
        for stream in streams:
            if len(self._gaps) < MAX_GAPS:
                self._gaps[stream] = None
            await log.awarning("message_lost", topic=stream.removeprefix(self._prefix))

    async def _publish_gaps(self) -> None:
        """Report missing messages to listeners and to subscribers that resume later."""
        for stream in list(self._gaps):
            # Removed first: a message that is lost meanwhile adds it again.
            self._gaps.pop(stream, None)
            try:
                await self._connection.run_unguarded(
                    lambda client, key=stream: PUBLISH(client, key, "", "", *self._limits, "", GAP)
                )
            except BaseException:
                self._gaps[stream] = None
                raise


def _is_id(text: str) -> bool:
    return _ID.match(text) is not None and max(_order(text)) < _LARGEST


def _order(id_: str) -> tuple[int, int]:
    """Return the sort key of an id; the empty id is the smallest."""
    if not id_:
        return 0, 0
    time, _, number = id_.partition("-")
    return int(time), int(number)


def _entry(id_: str, fields: Sequence[bytes]) -> _Entry:
    before, event, data = (value.decode() for value in fields[1::2])
    return _Entry(id_, before, Message(id_, event, data))


def _check(entries: Sequence[_Entry], after: str, last: str) -> None:
    """Raise HistoryLost unless the entries follow `after` and each other without a gap."""
    for entry in entries:
        if entry.before != after:
            raise HistoryLost(after)
        after = entry.id
    if after != last:
        raise HistoryLost(after)


def _deliver(entry: _Entry, listener: _Listener) -> bool:
    """Deliver an entry to a listener; return False if entries before it are missing."""
    if listener.joining is not None:
        listener.joining.append(entry)
        return True
    if listener.last is not None and _order(entry.id) <= _order(listener.last):
        # Already delivered, by resuming.
        return True
    if listener.last != entry.before:
        return False
    listener.backlog.put(entry.message)
    listener.last = entry.id
    return True


def _hearing(topic: str, context: Context) -> AbstractContextManager[None]:
    """Trace the delivery of another process's message, in the trace in which it was published."""
    kind = topic.partition(":")[0]
    attributes = {"messaging.operation.type": "process"}
    return tracing.step(f"process {kind}", kind=SpanKind.CONSUMER, context=context, attributes=attributes)
