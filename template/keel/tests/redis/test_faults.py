"""Servers that are paused, filled, killed and replaced under load."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.messaging.pubsub import HistoryLost, PubSub, SubscriberTooSlow
from keel.redis.connection import Command, GuardedConnection
from keel.services import services_of
from keel.testing.support import PATIENCE, running
from keel.tests.application import create_app
from keel.tests.redis.server import Server
from keel.tests.widgets.api import WIDGETS, create

pytestmark = pytest.mark.faults

TIMEOUT = 0.5
CALLERS = 4


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[Server]:
    """Return a running server that persists each command before it answers."""
    with Server(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


class Load:
    """Clients that write, read and use the cache; counts responses, failures, and timed-out commands."""

    def __init__(self, client: AsyncClient, connection: GuardedConnection, monkeypatch: pytest.MonkeyPatch) -> None:
        self._client = client
        self._run_unguarded = connection.run_unguarded
        monkeypatch.setattr(connection, "run_unguarded", self._watched)
        self.answers = 0
        self.failures: list[str] = []
        self.timeouts = 0
        self.done = False

    async def _watched(self, command: Command[Any], *, idempotent: bool = True) -> Any:
        started = time.monotonic()
        try:
            return await self._run_unguarded(command, idempotent=idempotent)
        finally:
            self.timeouts += time.monotonic() - started >= TIMEOUT

    async def call(self) -> None:
        """Send requests until `done`."""
        while not self.done:
            for method, url, body in [
                ("POST", WIDGETS, {"title": "t"}),
                ("GET", WIDGETS, None),
                ("GET", "/kept", None),
            ]:
                answer = await self._client.request(method, url, json=body)
                self.answers += 1
                if not answer.is_success:
                    self.failures.append(f"{method} {url}: {answer.status_code}")


@asynccontextmanager
async def under_load(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Load]:
    """Run an application under load."""

    @app.get("/kept")
    async def kept() -> int:
        return await services_of(app).cache.get_or_compute(f"kept:{time.monotonic_ns() // 10**8}", int, _one, ttl=60)

    async with running(app) as client:
        load = Load(client, services_of(app).redis, monkeypatch)
        callers = [asyncio.create_task(load.call()) for _ in range(CALLERS)]
        await asyncio.sleep(0.5)
        try:
            yield load
            await asyncio.sleep(0.5)
        finally:
            load.done = True
            await asyncio.gather(*callers)


async def _one() -> int:
    return 1


def on(server: Server, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """Return an application that uses a server."""
    monkeypatch.setenv("REDIS_URL", server.url)
    monkeypatch.setenv("REDIS_TIMEOUT", str(TIMEOUT))
    return create_app()


async def recovered(app: FastAPI) -> None:
    """Wait until the circuit is closed."""
    async with asyncio.timeout(20):
        while services_of(app).redis.unavailable:
            await asyncio.sleep(0.01)


async def test_paused(app: FastAPI, own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """No request fails, and each pause delays only the requests in progress when it began."""
    other = on(own_server, monkeypatch)
    async with under_load(other, monkeypatch) as load:
        for _ in range(2):
            own_server.pause()
            await asyncio.sleep(2)
            own_server.resume()
            await recovered(other)

    assert load.failures == []
    assert load.answers > 100
    # For each pause: requests in progress, a heartbeat, and a probe every two seconds.
    assert 2 <= load.timeouts <= 2 * (CALLERS + 4)


async def test_full(app: FastAPI, own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the server is full and evicts nothing, requests succeed without the cache."""
    other = on(own_server, monkeypatch)
    async with under_load(other, monkeypatch) as load:
        with own_server.client() as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", 1)
            await asyncio.sleep(1)
            assert not services_of(other).redis.unavailable
            client.config_set("maxmemory", 0)

    assert load.failures == []


async def test_killed(app: FastAPI, own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash that loses all data fails no request, and the application needs no restart."""
    other = on(own_server, monkeypatch)
    async with under_load(other, monkeypatch) as load:
        for _ in range(3):
            own_server.kill()
            await asyncio.sleep(0.5)
            own_server.start()
            await recovered(other)
            await asyncio.sleep(0.2)
        assert services_of(other).cache.counters.bypassed > 0

    assert load.failures == []


async def follow(pubsub: PubSub, heard: list[str], resets: list[int], *, last: str) -> None:
    """Subscribe until `last` arrives, resuming like a browser; record messages and the positions of gaps."""
    after = None
    while last not in heard[-1:]:
        try:
            async with pubsub.subscribe("topic", after=after) as messages:
                async for message in messages:
                    heard.append(message.data)
                    after = message.id
                    if message.data == last:
                        return
        except HistoryLost:
            resets.append(len(heard))
            after = None
        except SubscriberTooSlow:
            pass


async def test_streams_over_a_crash(app: FastAPI, durable: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes publish and subscribe while the server crashes: in order, no duplicates, no silent gap."""
    first, second = on(durable, monkeypatch), on(durable, monkeypatch)
    async with running(first), running(second):
        pubsubs = [services_of(first).pubsub, services_of(second).pubsub]
        heard: list[list[str]] = [[] for _ in range(6)]
        resets: list[list[int]] = [[] for _ in range(6)]
        following = [asyncio.create_task(follow(pubsubs[i % 2], heard[i], resets[i], last="end")) for i in range(6)]
        number = -1

        async def publish(count: int) -> range:
            nonlocal number
            for _ in range(count):
                number += 1
                await pubsubs[number % 2].publish("topic", "event", str(number))
                await asyncio.sleep(0.002)
            return range(number - count + 1, number + 1)

        async def heard_by_all(lowest: int) -> None:
            async with asyncio.timeout(PATIENCE):
                while not all(items and int(items[-1]) >= lowest for items in heard):
                    await publish(1)

        await heard_by_all(0)
        before = await publish(200)
        durable.kill()
        await publish(50)
        durable.start()
        await recovered(first)
        await recovered(second)
        # Until a subscriber is back, it misses messages, and is told so.
        await heard_by_all(number + 1)
        after = await publish(150)
        await pubsubs[0].publish("topic", "event", "end")
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*following)

    for items, lost in zip(heard, resets, strict=True):
        assert len(items) == len(set(items)), "duplicate message"
        numbers = [int(item) for item in items[:-1]]
        assert numbers == sorted(numbers)
        gaps = [i + 1 for i in range(len(numbers) - 1) if numbers[i + 1] != numbers[i] + 1]
        assert len(gaps) <= len(lost), "silent gap"
        assert {*before, *after} <= {*numbers}


async def test_failover(app: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentinel promotes a replica when the master is killed; the application finds it."""
    places = [tmp_path / name for name in ("one", "two", "sentinel")]
    for place in places:
        place.mkdir()
    with Server(places[0]) as one, Server(places[1]) as two, Server(places[2], sentinel=True) as sentinel:
        with two.client() as client:
            client.replicaof("127.0.0.1", str(one.port))
            while client.info("replication")["master_link_status"] != "up":
                await asyncio.sleep(0.05)
        with sentinel.client() as client:
            client.execute_command("SENTINEL", "MONITOR", "main", "127.0.0.1", one.port, "1")
            client.execute_command("SENTINEL", "SET", "main", "down-after-milliseconds", "500")
            client.execute_command("SENTINEL", "SET", "main", "failover-timeout", "2000")
            while client.sentinel_master("main")["num-slaves"] != 1:
                await asyncio.sleep(0.1)
        monkeypatch.setenv("REDIS_URL", f"redis+sentinel://127.0.0.1:{sentinel.port}/main/0")
        monkeypatch.setenv("REDIS_TIMEOUT", str(TIMEOUT))
        other = create_app()
        async with under_load(other, monkeypatch) as load:
            one.kill()
            async with asyncio.timeout(20):
                while not services_of(other).redis.unavailable:
                    await asyncio.sleep(0.01)
            await recovered(other)
            with two.client() as client:
                assert client.info("replication")["role"] == "master"
                before = client.info("stats")["total_commands_processed"]
                await asyncio.sleep(0.5)
                assert client.info("stats")["total_commands_processed"] > before + 20

    assert load.failures == []


async def test_nothing_is_left_running(app: FastAPI, own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """After shutdown no connection or task of the application remains, even after an outage."""
    other = on(own_server, monkeypatch)
    before = len(asyncio.all_tasks())
    async with running(other) as client:
        await create(client)
        own_server.kill()
        await create(client)
        own_server.start()
        await recovered(other)
    with own_server.client() as client:
        assert len(client.client_list()) == 1

    assert len(asyncio.all_tasks()) == before
