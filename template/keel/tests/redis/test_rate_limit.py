"""Rate limits with counters that all processes share."""

import pytest
from redis import Redis

from keel.redis.connection import GuardedConnection
from keel.redis.rate_limit_storage import RedisStorage
from keel.tests.redis.fixtures import OWN
from keel.tests.web.rate_limit_contract import RateLimitContract
from keel.web.errors import Unavailable
from keel.web.rate_limit import Rate, Window


@pytest.fixture
def storage(connection: GuardedConnection) -> RedisStorage:
    """Return a storage."""
    return RedisStorage(connection, prefix=OWN, fallback="local")


class TestRedisStorage(RateLimitContract):
    """`RedisStorage` fulfils the contract."""


async def test_processes_count_together(storage: RedisStorage, connection: GuardedConnection) -> None:
    """Hits of all processes count."""
    other = RedisStorage(connection, prefix=OWN, fallback="local")
    rates = [Rate(2, 3600)]

    assert [(await process.hit("a", rates))[0].allowed for process in (storage, other, storage)] == [True, True, False]


async def test_window_slides(storage: RedisStorage, redis: Redis) -> None:
    """The previous window counts by the share that overlaps the last hour."""
    rate = Rate(100, 3600)
    await storage.hit("a", [rate])
    key = f"{OWN}limit:a"
    seconds, micros = redis.time()
    left = 1 - (seconds + micros / 1e6) / 3600 % 1
    number = int(redis.hget(key, "100/3600:n") or 0)
    redis.hset(key, mapping={"100/3600:n": number - 1, "100/3600:c": 60})
    (window,) = await storage.hit("a", [rate])

    assert window.remaining == pytest.approx(100 - 60 * left - 1, abs=1)
    assert 0 < redis.ttl(key) <= 7200


async def test_fallbacks(connection: GuardedConnection) -> None:
    """During an outage, `fallback` decides: count in this process, allow everything, or refuse with 503."""
    await connection.close()
    rates = [Rate(1, 3600)]
    local, allow, refuse = (RedisStorage(connection, prefix=OWN, fallback=f) for f in ("local", "open", "closed"))

    assert [(await local.hit("a", rates))[0].allowed for _ in range(2)] == [True, False]
    await local.clear("a")
    assert (await local.hit("a", rates))[0].allowed
    assert [await allow.hit("a", rates) for _ in range(2)] == [[Window(allowed=True, remaining=1, reset=0.0)]] * 2
    with pytest.raises(Unavailable):
        await refuse.hit("a", rates)
