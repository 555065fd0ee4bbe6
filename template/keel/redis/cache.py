"""The cache that all processes share.

A value is stored with the versions that its tags had before it was computed, and is valid only while they are the
same. Invalidating a tag deletes its version, and the next version is random: neither a computation that began earlier
nor an evicted version can make a stale value valid again.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from keel.messaging.cache import MAX_TTL, Counters, Kind, SingleFlight, T, codec, lifetime
from keel.redis.client import Client
from keel.redis.connection import GuardedConnection, RedisUnavailable

EVERYTHING = "*"
"""A tag that every value has."""

MAX_BYTES = 1024 * 1024
"""Larger values are not stored: they would delay other commands."""

MAX_PENDING = 10_000
"""Invalidations kept during an outage; if there are more, everything is invalidated afterwards."""


@dataclass(frozen=True, slots=True)
class _Lookup:
    name: str
    tags: Sequence[str]
    versions: bytes

    def value_of(self, entry: bytes | None) -> bytes | None:
        """Return the value of an entry if it was computed under these versions."""
        versions, _, data = (entry or b"").partition(b"\n")
        return data if versions == self.versions else None


class RedisCache:
    """Stores values in Redis: a hit is one round trip."""

    def __init__(self, connection: GuardedConnection, *, prefix: str, lock_seconds: float = 5.0) -> None:
        """Wait up to `lock_seconds` for another process that computes the same value."""
        self.counters = Counters()
        self._connection = connection
        self._values = f"{prefix}cache:value:"
        self._tags = f"{prefix}cache:tag:"
        self._locks = f"{prefix}cache:lock:"
        self._totals = f"{prefix}cache:counters"
        self._reported: dict[str, int] = {}
        self._lock_seconds = lock_seconds
        self._flights: SingleFlight[bytes] = SingleFlight()
        self._invalidations = 0
        self._pending_invalidations: set[str] = set()
        connection.on_reconnect(self._replay)

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

        async def encoded() -> bytes:
            return chosen.dump(await compute())

        known = [EVERYTHING, *sorted(set(tags))]
        try:
            versions, data = await self._lookup(name, known)
        except RedisUnavailable:
            self.counters.bypassed += 1
            # Single-flight in this process. The counter keeps callers after an invalidation off older computations.
            return chosen.load(await self._flights.join((name, self._invalidations), encoded))
        if data is not None:
            self.counters.hits += 1
            return chosen.load(data)
        self.counters.misses += 1

        async def fill() -> bytes:
            return await self._fill(
                _Lookup(name, known, versions), encoded, lambda data: lifetime(ttl, negative_ttl, data)
            )

        return chosen.load(await self._flights.join((name, versions), fill))

    async def invalidate(self, *tags: str) -> None:
        """Invalidate every value with one of these tags."""
        self._invalidations += 1
        self.counters.invalidations += 1
        try:
            await self._connection.run(lambda client: self._delete_versions(client, tags))
        except RedisUnavailable:
            self._pending_invalidations.update(tags)
            if len(self._pending_invalidations) > MAX_PENDING:
                self._pending_invalidations = {EVERYTHING}

    async def clear(self) -> None:
        """Invalidate everything; memory is freed as entries expire."""
        await self.invalidate(EVERYTHING)

    async def report(self) -> None:
        """Add the counts of this process since the last report to the totals."""
        counts = asdict(self.counters)
        increments = {name: count - self._reported.get(name, 0) for name, count in counts.items()}
        if any(increments.values()):
            await self._connection.run(lambda client: self._add_counters(client, increments), idempotent=False)
            self._reported = counts

    async def totals(self) -> Mapping[str, int]:
        """Return the counters of all processes, added up.

        Raises:
            RedisUnavailable: Redis did not answer.
        """
        found: dict[Any, Any] = await self._connection.run(lambda client: client.hgetall(self._totals))
        return {name.decode(): int(count) for name, count in found.items()}

    async def _lookup(self, name: str, tags: Sequence[str]) -> tuple[bytes, bytes | None]:
        """Return the current versions of the tags, and the value if it was computed under them."""
        entry, *found = await self._connection.run(lambda client: self._read(client, name, tags))
        versions = [version for version in found if version is not None]
        if len(versions) < len(tags):
            return b",".join(await self._connection.run(lambda client: self._assign_versions(client, tags))), None
        lookup = _Lookup(name, tags, b",".join(versions))
        return lookup.versions, lookup.value_of(entry)

    async def _fill(
        self, lookup: _Lookup, encoded: Callable[[], Awaitable[bytes]], seconds: Callable[[bytes], float]
    ) -> bytes:
        lock = f"{self._locks}{lookup.name}:{lookup.versions.hex()}"
        try:
            ours = await self._connection.run(
                lambda client: client.set(lock, b"", nx=True, px=int(self._lock_seconds * 1000)), idempotent=False
            )
            if not ours and (data := await self._wait(lookup, lock)) is not None:
                return data
        except RedisUnavailable:
            return await encoded()
        entry, milliseconds = None, 0
        try:
            data = await encoded()
            if len(data) <= MAX_BYTES:
                entry, milliseconds = data, max(1, int(seconds(data) * 1000))
            return data
        finally:
            with suppress(RedisUnavailable):
                await self._connection.run(
                    lambda client: self._write(client, lookup, entry, milliseconds=milliseconds, unlock=lock)
                )

    async def _wait(self, lookup: _Lookup, lock: str) -> bytes | None:
        """Return the value that another process computes; None if that fails or takes too long."""
        deadline, pause = time.monotonic() + self._lock_seconds, 0.005

        async def poll(client: Client) -> list[Any]:
            pipeline = client.pipeline(transaction=False)
            pipeline.get(self._values + lookup.name)
            pipeline.exists(lock)
            return await pipeline.execute()

        while time.monotonic() < deadline:
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.1)
            entry, locked = await self._connection.run(poll)
            if (data := lookup.value_of(entry)) is not None:
                return data
            if not locked:
                break
        return None

    async def _read(self, client: Client, name: str, tags: Sequence[str]) -> list[bytes | None]:
        pipeline = client.pipeline(transaction=False)
        pipeline.get(self._values + name)
        for tag in tags:
            pipeline.get(self._tags + tag)
        return await pipeline.execute()

    async def _assign_versions(self, client: Client, tags: Sequence[str]) -> list[bytes]:
        """Assign versions to tags without one; return the versions of all."""
        pipeline = client.pipeline(transaction=False)
        for tag in tags:
            # The first process to assign a version wins. Versions outlive every value.
            pipeline.set(self._tags + tag, secrets.token_urlsafe(9), nx=True, px=int(MAX_TTL * 1000))
            pipeline.get(self._tags + tag)
        return [version or b"" for version in (await pipeline.execute())[1::2]]

    async def _write(
        self, client: Client, lookup: _Lookup, data: bytes | None, *, milliseconds: int, unlock: str
    ) -> None:
        _, *versions = await self._read(client, lookup.name, lookup.tags)
        pipeline = client.pipeline(transaction=False)
        # If a tag has changed, the value is stale, and a newer one may already be stored.
        if data is not None and versions == lookup.versions.split(b","):
            pipeline.set(self._values + lookup.name, lookup.versions + b"\n" + data, px=milliseconds)
        # If the lock has expired, this deletes another process's lock: then a third process computes too.
        pipeline.execute_command("UNLINK", unlock)
        await pipeline.execute()

    async def _delete_versions(self, client: Client, tags: Sequence[str]) -> None:
        pipeline = client.pipeline(transaction=False)
        for tag in tags:
            pipeline.execute_command("UNLINK", self._tags + tag)
        await pipeline.execute()

    async def _add_counters(self, client: Client, increments: Mapping[str, int]) -> None:
        pipeline = client.pipeline(transaction=False)
        for name, count in increments.items():
            pipeline.hincrby(self._totals, name, count)
        await pipeline.execute()

    async def _replay(self) -> None:
        """Send the invalidations of an outage, before anything is read."""
        pending, self._pending_invalidations = self._pending_invalidations, set()
        try:
            if pending:
                await self._connection.run_unguarded(lambda client: self._delete_versions(client, tuple(pending)))
        except BaseException:
            self._pending_invalidations |= pending
            raise
