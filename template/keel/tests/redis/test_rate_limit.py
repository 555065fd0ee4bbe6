"""Rate limits with shared counters."""

import asyncio
import random
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from keel.redis.client import Client, connect
from keel.redis.connection import GuardedConnection
from keel.redis.rate_limit_storage import HIT, LEASE_SECONDS, RedisStorage
from keel.redis.settings import RedisSettings
from keel.testing.support import PATIENCE, eventually
from keel.tests.redis.fixtures import OWN
from keel.tests.redis.server import Server
from keel.tests.redis.spender import RATE, YEAR
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


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the number of waiting hits at each round trip."""
    found: list[int] = []

    async def counted(client: Client, key: str, need: int, *arguments: object) -> object:
        found.append(need)
        return await HIT(client, key, need, *arguments)

    monkeypatch.setattr("keel.redis.rate_limit_storage.HIT", counted)
    return found


def counted(redis: Redis, rate: Rate, key: str = "a") -> int:
    """Return how many hits Redis has counted in the current window."""
    found: Any = redis.hget(f"{OWN}limit:{key}", f"{rate.amount}/{rate.seconds}:c")
    return int(found or 0)


async def spent(storage: RedisStorage, rates: Sequence[Rate], most: int = 5_000) -> int:
    """Use a limit up, or part of it; return how many hits passed."""
    passed = 0
    while passed < most and (await storage.hit("a", rates))[-1].allowed:
        passed += 1
    return passed


async def test_leases_save_round_trips(storage: RedisStorage, redis: Redis, asked: list[int]) -> None:
    """A frequently used key has a lease; each hit was counted before it passed."""
    rate = Rate(100_000, YEAR)
    for number in range(1, 1001):
        (window,) = await storage.hit("a", [rate])
        assert number <= counted(redis, rate)
        assert window.remaining == rate.amount - number
    assert len(asked) < 40


async def test_concurrent_hits_share_a_round_trip(storage: RedisStorage, asked: list[int]) -> None:
    """Hits that arrive during a round trip wait, and share the next one."""
    await asyncio.gather(*(storage.hit("a", [Rate(5, YEAR)]) for _ in range(50)))

    assert sum(asked) == 50
    assert len(asked) <= 3


async def test_refused_hits_of_one_round_trip(storage: RedisStorage, redis: Redis) -> None:
    """Each counts against the rates before the one that refuses it, as if they had come one by one."""
    rates = [Rate(10, YEAR), Rate(2, YEAR)]
    said = await asyncio.gather(*(storage.hit("a", rates) for _ in range(12)))

    assert [[window.allowed for window in windows] for windows in said] == [
        *[[True, True]] * 2,
        *[[True, False]] * 8,
        *[[False]] * 2,
    ]
    assert [counted(redis, rate) for rate in rates] == [10, 2]


@pytest.mark.parametrize("seed", range(8))
async def test_never_more_than_the_limit(connection: GuardedConnection, redis: Redis, seed: int) -> None:
    """Whatever processes do, at most the limit passes; unused hits are returned, so that all of it can."""
    rate, chance, passed = Rate(400, YEAR), random.Random(seed), 0  # noqa: S311 - not for secrets
    storages = [RedisStorage(connection, prefix=OWN, fallback="closed") for _ in range(4)]
    for _ in range(60):
        storage = chance.choice(storages)
        hits = [asyncio.ensure_future(storage.hit("a", [rate])) for _ in range(chance.choice([1, 1, 2, 20]))]
        if chance.random() < 0.2:
            await asyncio.sleep(0)
            hits[0].cancel()
        answers = await asyncio.gather(*hits, return_exceptions=True)
        passed += sum(answer[0].allowed for answer in answers if not isinstance(answer, BaseException))
        assert passed <= counted(redis, rate) <= rate.amount
        if chance.random() < 0.1:
            await storage.give_back(everything=True)
    for storage in storages:
        await storage.give_back(everything=True)
    lost = counted(redis, rate) - passed
    assert 0 <= lost <= 60  # of hits that were cancelled: whether they were counted is not known
    passed += await spent(storages[0], [rate])

    assert passed + lost == rate.amount


@pytest.mark.faults
async def test_killed_process_takes_no_more_than_the_limit(redis_url: str, redis: Redis, tmp_path: Path) -> None:
    """A killed process has passed only counted hits, and loses at most a tenth of the limit."""
    command = [sys.executable, "-m", "keel.tests.redis.spender", redis_url, OWN]
    passed = [tmp_path / str(number) for number in range(2)]
    processes = []
    try:
        for path in passed:
            with path.open("wb") as output:
                processes.append(await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=output))
        while not all(path.stat().st_size for path in passed):
            # However long a busy machine takes to start them.
            assert all(process.returncode is None for process in processes)
            await asyncio.sleep(0.02)
        for process in processes:
            assert process.stdin
            process.stdin.close()
        await eventually(lambda: counted(redis, RATE) > RATE.amount // 4)
        processes[0].kill()
        await processes[1].wait()
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    found = [path.stat().st_size for path in passed]
    assert counted(redis, RATE) == RATE.amount
    assert all(count > 1 for count in found)
    assert RATE.amount * 0.9 <= sum(found) <= RATE.amount


async def test_never_more_than_the_limit_when_redis_does_not_answer(own_server: Server) -> None:
    """Hits whose count is unknown do not pass; leased ones may, for as long as the lease is valid."""
    settings = RedisSettings.model_validate({"url": own_server.url})
    connection = GuardedConnection(connect(settings), timeout=PATIENCE)
    connection.open()
    storages = [RedisStorage(connection, prefix=OWN, fallback="closed") for _ in range(2)]
    rate, passed = Rate(1000, YEAR), 0
    for storage in storages:
        passed += await spent(storage, [rate], 100)
    own_server.pause()
    connection.timeout = 0.1
    for storage in storages:
        with pytest.raises(Unavailable):
            while True:
                await storage.hit("a", [rate])
                passed += 1
    connection.timeout = PATIENCE
    own_server.resume()
    await eventually(lambda: not connection.unavailable)
    for storage in storages:
        passed += await spent(storage, [rate])
    await connection.close()

    # The first one's question was carried out after all, and its answer never came.
    assert rate.amount * 0.9 <= passed <= rate.amount


async def test_lease_ends_with_its_window(storage: RedisStorage, redis: Redis) -> None:
    """Hits counted in one window do not pass in the next."""
    rate = Rate(1000, 1)

    def number() -> int:
        found: Any = redis.hget(f"{OWN}limit:a", "1000/1:n")
        return int(found or 0)

    def now() -> int:
        found: Any = redis.time()
        return found[0]

    begun = granted = 0
    while not granted:
        begun = now()
        await spent(storage, [rate], 20)
        granted = counted(redis, rate) - 20 if now() == begun else 0
    await eventually(lambda: now() > begun)
    await storage.hit("a", [rate])
    assert number() > begun


async def test_unused_hits_are_returned_once(storage: RedisStorage, redis: Redis) -> None:
    """An expired lease is returned, unless the counters have been reset since."""
    rate = Rate(10_000, YEAR)
    await spent(storage, [rate], 12)
    assert counted(redis, rate) > 12
    async with asyncio.timeout(PATIENCE):
        while counted(redis, rate) > 12:
            await asyncio.sleep(LEASE_SECONDS / 10)
            await storage.give_back()
    assert counted(redis, rate) == 12
    await storage.give_back(everything=True)
    assert counted(redis, rate) == 12

    other = RedisStorage(storage._connection, prefix=OWN, fallback="closed")
    await spent(storage, [rate], 12)
    await other.clear("a")
    await spent(other, [rate], 1)
    await storage.give_back(everything=True)
    assert counted(redis, rate) == 1


async def test_memory_is_bounded(connection: GuardedConnection) -> None:
    """Leases of recently used keys are kept; those of unused keys are dropped."""
    storage = RedisStorage(connection, prefix=OWN, fallback="closed", max_keys=3)
    for key in "abcd":
        await storage.hit(key, [Rate(10, YEAR)])

    assert list(storage._leases) == ["b", "c", "d"]
