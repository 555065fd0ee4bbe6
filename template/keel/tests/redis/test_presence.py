"""Presence in all processes; each `RedisPresence` here is what one process has."""

import pytest
from redis import Redis

from keel.redis.connection import GuardedConnection
from keel.redis.presence import RedisPresence
from keel.tests.redis.fixtures import OWN


@pytest.fixture
def presence(connection: GuardedConnection) -> RedisPresence:
    """Return presence."""
    return RedisPresence(connection, prefix=OWN)


@pytest.fixture
def other(connection: GuardedConnection) -> RedisPresence:
    """Return presence in another process."""
    return RedisPresence(connection, prefix=OWN)


async def test_everybody_is_seen_everywhere(presence: RedisPresence, other: RedisPresence) -> None:
    """Members are listed once, in order, until they have left everywhere."""
    async with presence.join("a", "mary"), presence.join("b", "elsewhere"):
        async with other.join("a", "ada"), presence.join("a", "ada"), presence.join("a", "ada"):
            assert await presence.members("a") == await other.members("a") == ["ada", "mary"]
            async with other.join("a", "mary"):
                pass
            assert await other.members("a") == ["ada", "mary"]
        assert await presence.members("a") == await other.members("a") == ["mary"]
    assert await other.members("a") == []


async def test_members_of_a_killed_process_lapse(presence: RedisPresence, other: RedisPresence, redis: Redis) -> None:
    """Who is not renewed is gone after a while; who is renewed stays."""
    async with presence.join("a", "alive"), other.join("a", "killed"):
        key = f"{OWN}presence:a"
        for entry in redis.zrange(key, 0, -1):
            redis.execute_command("ZINCRBY", key, -60, entry)
        await presence.beat()

        assert await presence.members("a") == ["alive"]
        assert redis.zcard(key) == 1
        assert 0 < redis.ttl(key) <= 30


async def test_lost_data_comes_back(presence: RedisPresence, other: RedisPresence, redis: Redis) -> None:
    """After a restart that forgot everything, the next beat tells who is there."""
    async with presence.join("a", "mary"):
        redis.unlink(f"{OWN}presence:a")
        assert await other.members("a") == []
        await presence.beat()

        assert await other.members("a") == ["mary"]


async def test_without_redis(presence: RedisPresence, connection: GuardedConnection) -> None:
    """While Redis is away, those of this process are seen."""
    await connection.close()
    async with presence.join("a", "mary"):
        await presence.beat()
        assert await presence.members("a") == ["mary"]
    assert await presence.members("a") == []
