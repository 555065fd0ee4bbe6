"""The shared cache; each `RedisCache` stands for a process."""

import asyncio
from typing import Any

import pytest
from redis import Redis

from keel.redis.cache import RedisCache
from keel.redis.connection import GuardedConnection
from keel.testing.support import PATIENCE, eventually
from keel.tests.messaging.cache_contract import CacheContract, Compute
from keel.tests.redis.fixtures import OWN


@pytest.fixture
def cache(connection: GuardedConnection) -> RedisCache:
    """Return a cache."""
    return RedisCache(connection, prefix=OWN, lock_seconds=PATIENCE)


@pytest.fixture
def other(connection: GuardedConnection) -> RedisCache:
    """Return the cache of another process."""
    return RedisCache(connection, prefix=OWN, lock_seconds=PATIENCE)


@pytest.fixture
def waiting(other: RedisCache, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Return an event that is set when the other process waits for a computation."""
    waiting, wait = asyncio.Event(), other._wait

    async def seen(*arguments: Any) -> bytes | None:
        waiting.set()
        return await wait(*arguments)

    monkeypatch.setattr(other, "_wait", seen)
    return waiting


class TestRedisCache(CacheContract):
    """`RedisCache` fulfils the contract."""


async def test_processes_share(cache: RedisCache, other: RedisCache) -> None:
    """Values and invalidations are visible in all processes."""
    compute = Compute(1)
    await cache.get_or_compute("a", int, compute, ttl=60, tags=["t"])
    await other.get_or_compute("a", int, compute, ttl=60, tags=["t"])
    assert compute.count == 1
    await other.invalidate("t")
    await cache.get_or_compute("a", int, compute, ttl=60, tags=["t"])
    assert compute.count == 2


async def test_stampede_of_processes(cache: RedisCache, other: RedisCache, waiting: asyncio.Event) -> None:
    """One process computes, the others wait for it."""
    compute = Compute(1)
    compute.hold()
    first = asyncio.create_task(cache.get_or_compute("a", int, compute, ttl=60))
    await compute.begun.wait()
    second = asyncio.create_task(other.get_or_compute("a", int, compute, ttl=60))
    await eventually(waiting.is_set)
    compute.go_on.set()

    assert await asyncio.gather(first, second) == [1, 1]
    assert compute.count == 1


async def test_other_process_takes_too_long(cache: RedisCache, connection: GuardedConnection) -> None:
    """After `lock_seconds` the waiting process computes the value itself."""
    other = RedisCache(connection, prefix=OWN, lock_seconds=0.1)
    slow, quick = Compute(1), Compute(2)
    slow.hold()
    first = asyncio.create_task(cache.get_or_compute("a", int, slow, ttl=60))
    await slow.begun.wait()

    assert await other.get_or_compute("a", int, quick, ttl=60) == 2
    slow.go_on.set()
    await first


async def test_other_process_fails(cache: RedisCache, other: RedisCache, waiting: asyncio.Event) -> None:
    """After a failed computation the waiting process computes the value itself."""
    failing, good = Compute(LookupError()), Compute(2)
    failing.hold()
    first = asyncio.create_task(cache.get_or_compute("a", int, failing, ttl=60))
    await failing.begun.wait()
    second = asyncio.create_task(other.get_or_compute("a", int, good, ttl=60))
    await eventually(waiting.is_set)
    failing.go_on.set()

    with pytest.raises(LookupError):
        await first
    assert await second == 2


async def test_evicted_version(cache: RedisCache, redis: Redis) -> None:
    """If a full server evicts the version of a tag, its values are invalid."""
    compute = Compute(1)
    await cache.get_or_compute("a", int, compute, ttl=60, tags=["t"])
    redis.unlink(f"{OWN}cache:tag:t")
    await cache.get_or_compute("a", int, compute, ttl=60, tags=["t"])

    assert compute.count == 2


async def test_large_values_are_not_kept(cache: RedisCache, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value above the limit is computed each time, and its lock is released."""
    monkeypatch.setattr("keel.redis.cache.MAX_BYTES", 10)
    compute = Compute("long enough")
    for _ in range(2):
        await cache.get_or_compute("a", str, compute, ttl=60)

    assert compute.count == 2
    assert list(redis.scan_iter(f"{OWN}cache:lock:*")) == []


async def test_counters_of_all_processes(cache: RedisCache, other: RedisCache) -> None:
    """The totals contain each count once."""
    compute = Compute(1)
    for process in (cache, other):
        await process.get_or_compute("a", int, compute, ttl=60)
        await process.report()
        await process.report()
    await other.invalidate("t")
    await other.report()

    assert await cache.totals() == {"hits": 1, "misses": 1, "bypassed": 0, "invalidations": 1}


async def test_everything_expires(cache: RedisCache, redis: Redis) -> None:
    """Every key except the counters has an expiry."""
    await cache.get_or_compute("a", int, Compute(1), ttl=60, tags=["t"])

    # -1: no expiry. -2: it has expired since the scan.
    staying = {key.decode() for key in redis.scan_iter(f"{OWN}cache:*") if redis.pttl(key) == -1}
    assert staying <= {f"{OWN}cache:counters"}
