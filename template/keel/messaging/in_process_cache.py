"""The cache within one process."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from keel.messaging.cache import Counters, Kind, T, codec, lifetime
from keel.messaging.single_flight import SingleFlight


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
    its `ttl`, unless its key names the version of what it is made of.
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
