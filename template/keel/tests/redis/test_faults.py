"""Servers that are paused, filled, killed and replaced while requests keep coming."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.main import create_app
from keel.messaging.pubsub import HistoryLost, PubSub, SubscriberTooSlow
from keel.redis.link import Link, Work
from keel.services import services_of
from keel.testing.support import running
from keel.tests.redis.server import Server
from tests.examples.notes.api import NOTES, create

pytestmark = pytest.mark.faults

TIMEOUT = 0.5
CALLERS = 4


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[Server]:
    """Return a running server that writes down what it is told before it answers."""
    with Server(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


class Load:
    """Callers that write, read and use the cache; what became of them, and how often Redis was waited for in vain."""

    def __init__(self, client: AsyncClient, link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
        self._client = client
        self._now = link.now
        monkeypatch.setattr(link, "now", self._watched)
        self.answers = 0
        self.failures: list[str] = []
        self.in_vain = 0
        self.enough = False

    async def _watched(self, work: Work[Any], *, repeat: bool = True) -> Any:
        started = time.monotonic()
        try:
            return await self._now(work, repeat=repeat)
        finally:
            self.in_vain += time.monotonic() - started >= TIMEOUT

    async def call(self) -> None:
        """Call until it is enough."""
        while not self.enough:
            for method, url, body in [("POST", NOTES, {"title": "t"}), ("GET", NOTES, None), ("GET", "/kept", None)]:
                answer = await self._client.request(method, url, json=body)
                self.answers += 1
                if not answer.is_success:
                    self.failures.append(f"{method} {url}: {answer.status_code}")


@asynccontextmanager
async def under_load(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Load]:
    """Run an application that several callers use all the time."""

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
            load.enough = True
            await asyncio.gather(*callers)


async def _one() -> int:
    return 1


def on(server: Server, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """Return an application on a server."""
    monkeypatch.setenv("REDIS_URL", server.url)
    monkeypatch.setenv("REDIS_TIMEOUT", str(TIMEOUT))
    return create_app()


async def back(app: FastAPI) -> None:
    """Wait until Redis is used again."""
    async with asyncio.timeout(20):
        while services_of(app).redis.away:
            await asyncio.sleep(0.01)


async def test_paused(app: FastAPI, own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody fails, and only those wait who were already asking when it began; so it is with each pause."""
    other = on(own_server, monkeypatch)
    async with under_load(other, monkeypatch) as load:
        for _ in range(2):
            own_server.pause()
            await asyncio.sleep(2)
            own_server.resume()
            await back(other)

    assert load.failures == []
    assert load.answers > 100
    # For each pause: what was under way, a beat, and one look every two seconds.
    assert 2 <= load.in_vain <= 2 * (CALLERS + 4)


async def test_full(app: FastAPI, own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without room, which evicts nothing, costs nobody anything but the cache."""
    other = on(own_server, monkeypatch)
    async with under_load(other, monkeypatch) as load:
        with own_server.client() as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", 1)
            await asyncio.sleep(1)
            assert not services_of(other).redis.away
            client.config_set("maxmemory", 0)

    assert load.failures == []


async def test_killed(app: FastAPI, own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash, and a return with nothing left, are no reason for anybody to fail or for a restart."""
    other = on(own_server, monkeypatch)
    async with under_load(other, monkeypatch) as load:
        for _ in range(3):
            own_server.kill()
            await asyncio.sleep(0.5)
            own_server.start()
            await back(other)
            await asyncio.sleep(0.2)
        assert services_of(other).cache.counters.bypassed > 0

    assert load.failures == []


async def follow(pubsub: PubSub, heard: list[str], resets: list[int], *, last: str) -> None:
    """Listen until a message comes, resuming as a browser does; note what was heard, and where it was lost."""
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
    """Two processes publish and listen while the server crashes: all in order, nothing twice, no gap that is not told."""
    first, second = on(durable, monkeypatch), on(durable, monkeypatch)
    async with running(first), running(second):
        pubsubs = [services_of(first).pubsub, services_of(second).pubsub]
        heard: list[list[str]] = [[] for _ in range(6)]
        resets: list[list[int]] = [[] for _ in range(6)]
        following = [asyncio.create_task(follow(pubsubs[i % 2], heard[i], resets[i], last="end")) for i in range(6)]
        await asyncio.sleep(0.2)
        for number in range(400):
            await pubsubs[number % 2].publish("topic", "event", str(number))
            if number == 200:
                durable.kill()
            if number == 250:
                durable.start()
                await back(first)
                await back(second)
            await asyncio.sleep(0.002)
        await asyncio.sleep(1)
        await services_of(first).pubsub.publish("topic", "event", "end")
        async with asyncio.timeout(20):
            await asyncio.gather(*following)

    for items, lost in zip(heard, resets, strict=True):
        assert len(items) == len(set(items)), "something came twice"
        numbers = [int(item) for item in items[:-1]]
        assert numbers == sorted(numbers)
        gaps = [i + 1 for i in range(len(numbers) - 1) if numbers[i + 1] != numbers[i] + 1]
        assert len(gaps) <= len(lost), "something is missing and nobody was told"
        assert numbers[:200] == list(range(200))
        assert numbers[-140:] == list(range(260, 400))


async def test_failover(app: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentinels name a new master when the old one is killed; the application finds it by itself."""
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
                while not services_of(other).redis.away:
                    await asyncio.sleep(0.01)
            await back(other)
            with two.client() as client:
                assert client.info("replication")["role"] == "master"
                before = client.info("stats")["total_commands_processed"]
                await asyncio.sleep(0.5)
                assert client.info("stats")["total_commands_processed"] > before + 20

    assert load.failures == []


async def test_nothing_is_left_running(app: FastAPI, own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the shutdown, no connection and no task of the application's is left, whatever happened before."""
    other = on(own_server, monkeypatch)
    before = len(asyncio.all_tasks())
    async with running(other) as client:
        await create(client)
        own_server.kill()
        await create(client)
        own_server.start()
        await back(other)
    with own_server.client() as client:
        assert len(client.client_list()) == 1

    assert len(asyncio.all_tasks()) == before
