"""The pubsub between processes.

Each topic is a stream: its entries are the messages, in one order for everybody, and each names the one before it. The
same script that adds an entry publishes it, so those who listen get it at once, over one connection of the process. If
an entry does not follow the one that a listener had before, something was missed, and is read from the stream.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import structlog

from keel.messaging.pubsub import Backlog, HistoryLost, Message, hearing, publishing
from keel.observability.tracing import carried, carrier
from keel.redis.link import Link, RedisAway
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

BREAK = "?"
"""What an entry names as the one before it if messages are missing there."""

MAX_BROKEN = 10_000
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
    """The entry that was passed on last; "" before the first of all, None if it could not be asked for."""
    joining: list[_Entry] | None = field(default_factory=list)
    """What came while it was asked for."""


class RedisPubSub:
    """A pubsub between all processes, with a bounded history for each topic."""

    def __init__(
        self, link: Link, *, prefix: str, history: int = 256, history_seconds: float = 3600, backlog: int = 256
    ) -> None:
        """Keep `history` messages of a topic for `history_seconds` after its last use."""
        self._link = link
        self._prefix = f"{prefix}topic:"
        self._limits = (history, int(history_seconds * 1000))
        self._backlog = backlog
        self._listeners: dict[str, set[_Listener]] = {}
        self._broken: dict[str, None] = {}
        self.reader = Reader(link, self._heard, self.catch_up)
        link.on_return(self._mend)

    @property
    def listeners(self) -> int:
        """How many subscriptions of this process are open."""
        return sum(map(len, list(self._listeners.values())))

    async def publish(self, topic: str, event: str, data: str) -> None:
        """Send a message to everybody who listens to a topic."""
        stream = self._prefix + topic
        with publishing(topic):
            trace = carrier().get(TRACE, "")
            try:
                # Never twice: rather none, and a gap that listeners are told of.
                await self._link.run(
                    lambda client: PUBLISH(client, stream, event, data, *self._limits, trace), repeat=False
                )
            except RedisAway:
                if len(self._broken) < MAX_BROKEN:
                    self._broken[stream] = None
                await log.awarning("message_lost", topic=topic)

    @asynccontextmanager
    async def subscribe(self, topic: str, *, after: str | None = None) -> AsyncGenerator[AsyncIterator[Message]]:
        """Listen to a topic; see `PubSub.subscribe`."""
        if after is not None and not _is_id(after):
            raise HistoryLost(after)
        stream = self._prefix + topic
        listener = _Listener(Backlog(self._backlog), after)
        self._listeners.setdefault(stream, set()).add(listener)
        try:
            await self._begin(stream, listener)
            yield listener.backlog
        finally:
            others = self._listeners[stream]
            others.discard(listener)
            if not others:
                del self._listeners[stream]
                self.reader.leave(stream)

    async def catch_up(self) -> None:
        """Read what listeners have missed, and keep the history of what is listened to."""
        for stream, listeners in list(self._listeners.items()):
            await self._fill_gaps(stream, [item for item in listeners if item.joining is None])

    async def _begin(self, stream: str, listener: _Listener) -> None:
        """Find out where to start from; if Redis is away, that waits until it is back."""
        try:
            await self.reader.join(stream)
            entries, last = await self._since(stream, listener.last)
        except RedisAway:
            listener.joining = None
            return
        if listener.last is None:
            listener.last = last
        else:
            _check(entries, listener.last, last)
            listener.backlog = Backlog(self._backlog, [entry.message for entry in entries])
            listener.last = last
        came, listener.joining = listener.joining or (), None
        gaps = [entry for entry in came if not _pass_on(entry, listener)]
        if gaps:
            with suppress(RedisAway):
                await self._fill_gaps(stream, [listener])

    async def _heard(self, stream: str, payload: str) -> None:
        """Pass on what was published."""
        id_, before, trace, event, data = payload.split("\n", 4)
        entry = _Entry(id_, before, Message(id_, event, data))
        with hearing(stream.removeprefix(self._prefix), carried({TRACE: trace})):
            behind = [item for item in self._listeners.get(stream, ()) if not _pass_on(entry, item)]
            if behind:
                await self._fill_gaps(stream, behind)

    async def _fill_gaps(self, stream: str, listeners: Sequence[_Listener]) -> None:
        for place in {listener.last for listener in listeners}:
            group = [listener for listener in listeners if listener.last == place]
            if place is None:
                # It began to listen while nobody could tell what it should hear first.
                for listener in group:
                    listener.backlog.fail(HistoryLost())
                continue
            entries, last = await self._since(stream, place)
            try:
                _check(entries, place, last)
            except HistoryLost as lost:
                for listener in group:
                    listener.backlog.fail(lost)
                continue
            for listener in group:
                for entry in entries:
                    _pass_on(entry, listener)

    async def _since(self, stream: str, after: str | None) -> tuple[list[_Entry], str]:
        """Return the entries after a place, and the last one's id."""
        where = "now" if after is None else after
        found, last = await self._link.run(lambda client: SINCE(client, stream, where, self._limits[1]))
        return [_entry(id_.decode(), fields) for id_, fields in found], last.decode()

    async def _mend(self) -> None:
        """Tell those who listen, or resume, that messages are missing here."""
        for stream in list(self._broken):
            # First: what is lost while this is told, is told of next time.
            self._broken.pop(stream, None)
            try:
                await self._link.now(lambda client, key=stream: PUBLISH(client, key, "", "", *self._limits, "", BREAK))
            except BaseException:
                self._broken[stream] = None
                raise


def _is_id(text: str) -> bool:
    return _ID.match(text) is not None and max(_order(text)) < _LARGEST


def _order(id_: str) -> tuple[int, int]:
    """Return what ids are ordered by; nothing comes before the first."""
    if not id_:
        return 0, 0
    time, _, number = id_.partition("-")
    return int(time), int(number)


def _entry(id_: str, fields: Sequence[bytes]) -> _Entry:
    before, event, data = (value.decode() for value in fields[1::2])
    return _Entry(id_, before, Message(id_, event, data))


def _check(entries: Sequence[_Entry], after: str, last: str) -> None:
    """Raise HistoryLost unless the entries follow each other and the one that they are said to come after."""
    for entry in entries:
        if entry.before != after:
            raise HistoryLost(after)
        after = entry.id
    if after != last:
        raise HistoryLost(after)


def _pass_on(entry: _Entry, listener: _Listener) -> bool:
    """Give an entry to a listener; return whether it follows the last one."""
    if listener.joining is not None:
        listener.joining.append(entry)
        return True
    if listener.last is not None and _order(entry.id) <= _order(listener.last):
        # Seen already, by resuming.
        return True
    if listener.last != entry.before:
        return False
    listener.backlog.put(entry.message)
    listener.last = entry.id
    return True
