"""Presence across processes; each `RedisPresence` here represents one."""

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from fastapi import FastAPI
from redis import Redis

from keel.redis.client import connect
from keel.redis.connection import GuardedConnection
from keel.redis.plugin import heartbeat
from keel.redis.presence import RedisPresence
from keel.redis.settings import RedisSettings
from keel.services import services_of
from keel.testing.ports import Port
from keel.testing.support import PATIENCE, running
from keel.tests.application import create_app
from keel.tests.redis.fixtures import OWN
from keel.tests.redis.server import Server


@pytest.fixture
def presence(connection: GuardedConnection) -> RedisPresence:
    """Return presence."""
    return RedisPresence(connection, prefix=OWN)


@pytest.fixture
def other(connection: GuardedConnection) -> RedisPresence:
    """Return presence in another process."""
    return RedisPresence(connection, prefix=OWN)


async def test_members_of_all_processes(presence: RedisPresence, other: RedisPresence) -> None:
    """Members are listed once, in order, until they have left everywhere."""
    async with presence.join("a", "mary"), presence.join("b", "elsewhere"):
        async with other.join("a", "ada"), presence.join("a", "ada"), presence.join("a", "ada"):
            assert await presence.members("a") == await other.members("a") == ["ada", "mary"]
            async with other.join("a", "mary"):
                pass
            assert await other.members("a") == ["ada", "mary"]
        assert await presence.members("a") == await other.members("a") == ["mary"]
    assert await other.members("a") == []


async def test_members_of_a_killed_process_expire(presence: RedisPresence, other: RedisPresence, redis: Redis) -> None:
    """Members that are not renewed expire; others stay."""
    async with presence.join("a", "alive"), other.join("a", "killed"):
        key = f"{OWN}presence:a"
        for entry in redis.zrange(key, 0, -1):
            redis.execute_command("ZINCRBY", key, -60, entry)
        await presence.beat()

        assert await presence.members("a") == ["alive"]
        assert redis.zcard(key) == 1
        assert 0 < redis.ttl(key) <= 30


async def test_lost_data_is_restored(presence: RedisPresence, other: RedisPresence, redis: Redis) -> None:
    """After a restart without data, the next heartbeat adds the members again."""
    async with presence.join("a", "mary"):
        redis.unlink(f"{OWN}presence:a")
        assert await other.members("a") == []
        await presence.beat()

        assert await other.members("a") == ["mary"]


async def test_without_redis(presence: RedisPresence, connection: GuardedConnection) -> None:
    """While Redis is unavailable, this process's members are listed."""
    await connection.close()
    async with presence.join("a", "mary"):
        await presence.beat()
        assert await presence.members("a") == ["mary"]
    assert await presence.members("a") == []


async def test_outage(app: FastAPI, own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Presence is shared; during an outage only this process's members are listed, and shared again afterwards."""
    monkeypatch.setenv("REDIS_URL", own_server.url)
    monkeypatch.setattr("keel.redis.presence.heartbeat", partial(heartbeat, seconds=0.05))
    ours = create_app()
    async with running(ours):
        presence = cast("RedisPresence", services_of(ours).presence)
        async with presence.join("room", "mary"):
            with own_server.client() as client:
                (key,) = client.keys("*presence:room")
            own_server.kill()
            assert await presence.members("room") == ["mary"]
            own_server.start()
            async with asyncio.timeout(PATIENCE):
                with own_server.client() as client:
                    # The heartbeat of the application does it.
                    while not client.exists(key):
                        await asyncio.sleep(0.05)


@contextmanager
def with_a_password(folder: Path) -> Generator[str]:
    """Run a server whose user has only the documented permissions; return its URL."""
    rules = ["~p:*", "&p:*", "+@all", "-@admin", "-@dangerous", "+info"]
    with Server(folder, "--user", "me", "on", ">p@ss", *rules) as server:
        yield server.url.replace("//", "//me:p%40ss@")


@contextmanager
def cluster(folder: Path) -> Generator[str]:
    """Run a cluster of one node; return its URL."""
    bus = Port()
    with closing(bus), Server(folder, "--cluster-enabled", "yes", "--cluster-port", str(bus.number)) as server:
        with server.client() as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
            while "cluster_state:ok" not in str(client.execute_command("CLUSTER", "INFO")):
                time.sleep(0.005)
        yield server.url.replace("redis://", "redis+cluster://").removesuffix("/0")


@pytest.mark.parametrize("run", [with_a_password, cluster])
async def test_kinds_of_servers(run: Callable[[Path], AbstractContextManager[str]], tmp_path: Path) -> None:
    """A restricted user and a cluster suffice."""
    with run(tmp_path) as url:
        settings = RedisSettings.model_validate({"url": url})
        connection = GuardedConnection(connect(settings), timeout=settings.timeout)
        connection.open()
        try:
            await connection.ping()
            presence = RedisPresence(connection, prefix="p:")
            async with presence.join("a", "mary"):
                assert await presence.members("a") == ["mary"]
                await presence.beat()
        finally:
            await connection.close()
