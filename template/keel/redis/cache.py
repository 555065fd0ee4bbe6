"""The cache of all processes.

A value lies under its key together with the versions that its tags had before it was computed, and counts only while
they are the same. Invalidating a tag takes its version away, and the next one is random: neither a computation that
began earlier nor a version that was evicted can bring an old value back.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from keel.messaging.cache import MAX_TTL, Counters, Kind, T, codec, lifetime
from keel.messaging.single_flight import SingleFlight
from keel.redis.client import Client
from keel.redis.link import Link, RedisAway

EVERYTHING = "*"
"""A tag that every value has."""

MAX_BYTES = 1024 * 1024
"""Larger values are not kept: they would hold up everybody else's commands."""

MAX_OWED = 10_000
"""Invalidations that are remembered while Redis is away; beyond that, everything is forgotten when it is back."""


@dataclass(frozen=True, slots=True)
class _Question:
    name: str
    tags: Sequence[str]
    versions: bytes

    def answer(self, entry: bytes | None) -> bytes | None:
        """Return the value of an entry, if it was computed under these versions."""
        under, _, data = (entry or b"").partition(b"\n")
        return data if under == self.versions else None


class RedisCache:
    """Keeps values in Redis: one round trip for a hit, a few and the computation for a miss."""

    def __init__(self, link: Link, *, prefix: str, lock_seconds: float = 5.0) -> None:
        """Let other processes wait `lock_seconds` for one that computes, before they do it themselves."""
        self.counters = Counters()
        self._link = link
        self._values = f"{prefix}cache:value:"
        self._tags = f"{prefix}cache:tag:"
        self._locks = f"{prefix}cache:lock:"
        self._counts = f"{prefix}cache:counters"
        self._reported: dict[str, int] = {}
        self._lock_seconds = lock_seconds
        self._flights: SingleFlight[bytes] = SingleFlight()
        self._invalidations = 0
        self._owed: set[str] = set()
        link.on_return(self._make_up)

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
            versions, data = await self._look(name, known)
        except RedisAway:
            self.counters.bypassed += 1
            # Still once at a time, but nobody who comes after an invalidation gets what was begun before it.
            return chosen.load(await self._flights.join((name, self._invalidations), encoded))
        if data is not None:
            self.counters.hits += 1
            return chosen.load(data)
        self.counters.misses += 1

        async def fill() -> bytes:
            return await self._fill(
                _Question(name, known, versions), encoded, lambda data: lifetime(ttl, negative_ttl, data)
            )

        return chosen.load(await self._flights.join((name, versions), fill))

    async def invalidate(self, *tags: str) -> None:
        """Forget every value with one of these tags."""
        self._invalidations += 1
        self.counters.invalidations += 1
        try:
            await self._link.run(lambda client: self._forget(client, tags))
        except RedisAway:
            self._owed.update(tags)
            if len(self._owed) > MAX_OWED:
                self._owed = {EVERYTHING}

    async def clear(self) -> None:
        """Forget everything; what it takes up is given back as it expires."""
        await self.invalidate(EVERYTHING)

    async def report(self) -> None:
        """Add what this process has counted to what all of them have."""
        counted = asdict(self.counters)
        news = {name: count - self._reported.get(name, 0) for name, count in counted.items()}
        if any(news.values()):
            await self._link.run(lambda client: self._count(client, news), repeat=False)
            self._reported = counted

    async def counted(self) -> Mapping[str, int]:
        """Return what all processes have counted together.

        Raises:
            RedisAway: nobody can tell.
        """
        found: dict[Any, Any] = await self._link.run(lambda client: client.hgetall(self._counts))
        return {name.decode(): int(count) for name, count in found.items()}

    async def _look(self, name: str, tags: Sequence[str]) -> tuple[bytes, bytes | None]:
        """Return the versions of the tags, and the value if they are the ones that it was computed under."""
        entry, *found = await self._link.run(lambda client: self._read(client, name, tags))
        versions = [version for version in found if version is not None]
        if len(versions) < len(tags):
            return b",".join(await self._link.run(lambda client: self._begin(client, tags))), None
        question = _Question(name, tags, b",".join(versions))
        return question.versions, question.answer(entry)

    async def _fill(
        self, question: _Question, encoded: Callable[[], Awaitable[bytes]], seconds: Callable[[bytes], float]
    ) -> bytes:
        lock = f"{self._locks}{question.name}:{question.versions.hex()}"
        try:
            ours = await self._link.run(
                lambda client: client.set(lock, b"", nx=True, px=int(self._lock_seconds * 1000)), repeat=False
            )
            if not ours and (data := await self._wait(question, lock)) is not None:
                return data
        except RedisAway:
            return await encoded()
        entry, milliseconds = None, 0
        try:
            data = await encoded()
            if len(data) <= MAX_BYTES:
                entry, milliseconds = data, max(1, int(seconds(data) * 1000))
            return data
        finally:
            with suppress(RedisAway):
                await self._link.run(
                    lambda client: self._write(client, question, entry, milliseconds=milliseconds, unlock=lock)
                )

    async def _wait(self, question: _Question, lock: str) -> bytes | None:
        """Return what another process computes meanwhile; nothing if it fails or takes too long."""
        deadline, pause = time.monotonic() + self._lock_seconds, 0.005

        async def look(client: Client) -> list[Any]:
            pipeline = client.pipeline(transaction=False)
            pipeline.get(self._values + question.name)
            pipeline.exists(lock)
            return await pipeline.execute()

        while time.monotonic() < deadline:
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.1)
            entry, locked = await self._link.run(look)
            if (data := question.answer(entry)) is not None:
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

    async def _begin(self, client: Client, tags: Sequence[str]) -> list[bytes]:
        """Give versions to tags that have none; return those of all."""
        pipeline = client.pipeline(transaction=False)
        for tag in tags:
            # Whoever comes first decides, and who asks later gets the same. They outlive every value.
            pipeline.set(self._tags + tag, secrets.token_urlsafe(9), nx=True, px=int(MAX_TTL * 1000))
            pipeline.get(self._tags + tag)
        return [version or b"" for version in (await pipeline.execute())[1::2]]

    async def _write(
        self, client: Client, question: _Question, data: bytes | None, *, milliseconds: int, unlock: str
    ) -> None:
        _, *versions = await self._read(client, question.name, question.tags)
        pipeline = client.pipeline(transaction=False)
        # Of no use if a tag has changed meanwhile, and what was computed since then may lie there.
        if data is not None and versions == question.versions.split(b","):
            pipeline.set(self._values + question.name, question.versions + b"\n" + data, px=milliseconds)
        # If we took longer than the lock lasts, this may be another's: then a third one computes too.
        pipeline.execute_command("UNLINK", unlock)
        await pipeline.execute()

    async def _forget(self, client: Client, tags: Sequence[str]) -> None:
        pipeline = client.pipeline(transaction=False)
        for tag in tags:
            pipeline.execute_command("UNLINK", self._tags + tag)
        await pipeline.execute()

    async def _count(self, client: Client, news: Mapping[str, int]) -> None:
        pipeline = client.pipeline(transaction=False)
        for name, count in news.items():
            pipeline.hincrby(self._counts, name, count)
        await pipeline.execute()

    async def _make_up(self) -> None:
        """Forget what changed while Redis was away, before anybody reads it."""
        owed, self._owed = self._owed, set()
        try:
            if owed:
                await self._link.now(lambda client: self._forget(client, tuple(owed)))
        except BaseException:
            self._owed |= owed
            raise
