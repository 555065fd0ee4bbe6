"""The cache: computed values, kept until they expire or are invalidated by tag.

The default works within one process. A feature may replace it with one that all processes share.
"""

import asyncio
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, Protocol, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")

Kind = type[T] | TypeAdapter[T]
"""The type of a value: a class, or an adapter for other types, such as `TypeAdapter(Book | None)`."""

MAX_TTL = 86_400.0
"""The longest lifetime, in seconds."""


@dataclass(slots=True)
class Counters:
    """Counters of this process since it started."""

    hits: int = 0
    misses: int = 0
    bypassed: int = 0
    """Computed without the cache because it was unavailable."""
    invalidations: int = 0


class Cache(Protocol):
    """Keeps computed values."""

    counters: Counters

    async def get_or_compute(
        self,
        key: str,
        kind: Kind[T],
        compute: Callable[[], Awaitable[T]],
        *,
        ttl: float,
        negative_ttl: float | None = None,
        tags: Sequence[str] = (),
    ) -> T:
        """Return the value of a key, computing it if it is not cached.

        Concurrent lookups share one computation. Entries are keyed by key and schema, so a release with changed types
        never reads entries of an older one. A computation that began before an invalidation is not stored.

        Args:
            key: identifies the value by everything that it depends on, above all its owner.
            kind: a type that pydantic serialises to JSON and back; each caller gets its own copy.
            compute: computes the value, in a task that may outlive the caller, so it must not use the session of a
                request. An exception is raised to all waiting callers and not cached.
            ttl: lifetime in seconds, at most `MAX_TTL`.
            negative_ttl: lifetime in seconds of a `None`, if shorter.
            tags: for `invalidate`.
        """
        ...

    async def invalidate(self, *tags: str) -> None:
        """Drop every value with one of these tags. During an outage, the invalidation is replayed when it ends.

        Invalidate after the commit, or a concurrent lookup caches the old value again:
        `session.after_commit(partial(cache.invalidate, "book:1"))`.
        """

    async def clear(self) -> None:
        """Drop everything."""


class Codec(Generic[T]):
    """Serialises values of a type to bytes and back."""

    def __init__(self, kind: Kind[T]) -> None:
        self._adapter: TypeAdapter[T] = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
        schemas = [self._adapter.json_schema(mode="validation"), self._adapter.json_schema(mode="serialization")]
        self.fingerprint = hashlib.sha256(json.dumps(schemas, sort_keys=True).encode()).hexdigest()[:12]

    def dump(self, value: T) -> bytes:
        """Serialise a value."""
        return self._adapter.dump_json(value)

    def load(self, data: bytes) -> T:
        """Deserialise a value."""
        return self._adapter.validate_json(data)


@lru_cache(maxsize=256)
def codec(kind: Any) -> Codec[Any]:
    """Return the codec of a type, built once: building schemas is slow."""
    return Codec(kind)


def lifetime(ttl: float, negative_ttl: float | None, data: bytes) -> float:
    """Return the lifetime of encoded data in seconds."""
    return min(ttl if negative_ttl is None or data != b"null" else negative_ttl, MAX_TTL)


class SingleFlight(Generic[T]):
    """At most one computation per key at a time, within this process."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[T]] = {}

    async def join(self, key: Hashable, start: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the result of the computation under way, starting it if there is none.

        It runs in its own task: a cancelled caller does not cancel it for the others.
        """
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(start())
            task.add_done_callback(lambda done: self._land(key, done))
        return await asyncio.shield(task)

    def leave(self, key: Hashable) -> None:
        """Let later calls start a new computation; callers that already wait get the current one."""
        self._tasks.pop(key, None)

    def _land(self, key: Hashable, task: asyncio.Task[T]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled():
            # All callers may have been cancelled: mark the exception as retrieved.
            task.exception()


@dataclass(slots=True)
class _Entry:
    data: bytes
    expires_at: float
    tags: frozenset[str]


@dataclass(slots=True, eq=False)
class _Flight:
    tags: frozenset[str]
    outdated: bool = False


class InProcessCache:
    """Keeps values up to a number of bytes; the least recently used are evicted first.

    Only this process's invalidations apply. With several processes and no shared cache, a value may be as old as
    its `ttl`, unless its key contains the version of its sources.
    """

    def __init__(self, *, max_bytes: int = 16 * 1024 * 1024) -> None:
        self.counters = Counters()
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._tagged: dict[str, set[str]] = {}
        self._flights: SingleFlight[bytes] = SingleFlight()
        self._flying: dict[str, _Flight] = {}

    async def get_or_compute(
        self,
        key: str,
        kind: Kind[T],
        compute: Callable[[], Awaitable[T]],
        *,
        ttl: float,
        negative_ttl: float | None = None,
        tags: Sequence[str] = (),
    ) -> T:
        """Return the value of a key; see `Cache.get_or_compute`."""
        chosen = codec(kind)
        name = f"{key}:{chosen.fingerprint}"
        entry = self._entries.get(name)
        if entry and entry.expires_at > time.monotonic():
            self.counters.hits += 1
            self._entries.move_to_end(name)
            return chosen.load(entry.data)
        self.counters.misses += 1

        async def fill() -> bytes:
            flight = self._flying[name] = _Flight(frozenset(tags))
            try:
                data = chosen.dump(await compute())
            finally:
                if self._flying.get(name) is flight:
                    del self._flying[name]
            if not flight.outdated:
                expires_at = time.monotonic() + lifetime(ttl, negative_ttl, data)
                self._keep(name, _Entry(data, expires_at, flight.tags))
            return data

        return chosen.load(await self._flights.join(name, fill))

    async def invalidate(self, *tags: str) -> None:
        """Drop every value with one of these tags."""
        self.counters.invalidations += 1
        for tag in tags:
            for name in list(self._tagged.get(tag, ())):
                self._drop(name)
        self._outdate(lambda flight: not flight.tags.isdisjoint(tags))

    async def clear(self) -> None:
        """Drop everything."""
        self._entries.clear()
        self._tagged.clear()
        self._bytes = 0
        self._outdate(lambda _: True)

    def _outdate(self, concerned: Callable[[_Flight], bool]) -> None:
        """Store no result of computations under way, and let later lookups start a new one."""
        for name, flight in list(self._flying.items()):
            if concerned(flight):
                flight.outdated = True
                self._flights.leave(name)
                del self._flying[name]

    def _keep(self, name: str, entry: _Entry) -> None:
        self._drop(name)
        self._entries[name] = entry
        self._bytes += len(entry.data)
        for tag in entry.tags:
            self._tagged.setdefault(tag, set()).add(name)
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, name: str) -> None:
        entry = self._entries.pop(name, None)
        if entry is None:
            return
        self._bytes -= len(entry.data)
        for tag in entry.tags:
            names = self._tagged[tag]
            names.discard(name)
            if not names:
                del self._tagged[tag]
