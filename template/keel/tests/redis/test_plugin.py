"""The application with Redis: outages, startup, heartbeats and commands."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from redis import Redis
from typer.testing import CliRunner

from keel.application import new_app
from keel.messaging.pubsub import HistoryLost
from keel.ops import cli
from keel.redis import plugin
from keel.redis.cache import RedisCache
from keel.redis.connection import GuardedConnection, RedisUnavailable
from keel.redis.plugin import heartbeat
from keel.redis.settings import RedisSettings
from keel.services import services_of
from keel.testing.support import PATIENCE, eventually, running
from keel.tests.application import create_app
from keel.tests.messaging.cache_contract import Compute
from keel.tests.redis.fixtures import OWN
from keel.tests.redis.server import Server
from keel.tests.widgets.api import WIDGETS, create, titles
from keel.web.rate_limit import Rate


@pytest.fixture
def on_own_server(app: FastAPI, own_server: Server, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """Return an application on a server that the test may pause and kill."""
    monkeypatch.setenv("REDIS_URL", own_server.url)
    return create_app()


@contextmanager
def unanswered(app: FastAPI, server: Server) -> Generator[None]:
    """Pause the server during the block, with a short time limit for commands."""
    connection = services_of(app).redis
    server.pause()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "timeout", 0.1)
        yield
    server.resume()


async def readiness(client: AsyncClient) -> tuple[int, str, str]:
    """Return the status code of `/readyz`, its status, and that of the Redis check."""
    answer = await client.get("/readyz")
    body = answer.json()
    return answer.status_code, body["status"] if answer.is_success else "", body["checks"]["redis"]["status"]


async def recovered(app: FastAPI) -> None:
    """Wait until the circuit is closed."""
    await eventually(lambda: not services_of(app).redis.unavailable)


async def test_outage(on_own_server: FastAPI, own_server: Server) -> None:
    """Requests succeed, readiness is degraded, streams resume or are reset, and the application recovers by itself."""
    app, compute = on_own_server, Compute(7)
    async with running(app) as client:
        cache, pubsub = services_of(app).cache, services_of(app).pubsub
        assert await readiness(client) == (200, "ready", "ok")
        assert await cache.get_or_compute("a", int, compute, ttl=60, tags=["t"]) == 7
        async with pubsub.subscribe("topic") as listener:
            own_server.kill()
            widget = await create(client, title="meanwhile")
            assert (await client.get(f"{WIDGETS}/{widget['id']}")).status_code == 200
            assert await readiness(client) == (200, "degraded", "failed")
            assert await cache.get_or_compute("a", int, compute, ttl=60, tags=["t"]) == 7
            await pubsub.publish("topic", "event", "lost")
            async with pubsub.subscribe("topic", after="1-1") as early:
                own_server.start()
                await recovered(app)

                # Subscribers are told of the lost message.
                for waiting in (listener, early):
                    with pytest.raises(HistoryLost):
                        await asyncio.wait_for(anext(waiting), PATIENCE)
        assert await readiness(client) == (200, "ready", "ok")
        assert await titles(client) == ["meanwhile"]
        for _ in range(2):
            await cache.get_or_compute("a", int, compute, ttl=60, tags=["t"])

    assert compute.count == 3


async def test_invalidation_during_an_outage(on_own_server: FastAPI, own_server: Server) -> None:
    """Invalidations during an outage are replayed before anything is read."""
    app, compute = on_own_server, Compute("old")
    async with running(app):
        cache = services_of(app).cache
        await cache.get_or_compute("a", str, compute, ttl=60, tags=["t"])
        compute.value = "new"
        with unanswered(app, own_server):
            await cache.invalidate("t")
            assert await cache.get_or_compute("a", str, compute, ttl=60, tags=["t"]) == "new"
        await recovered(app)

        assert await cache.get_or_compute("a", str, compute, ttl=60, tags=["t"]) == "new"
        assert cache.counters.bypassed == 1


async def test_too_many_pending_invalidations(
    on_own_server: FastAPI, own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the limit, everything is invalidated."""
    monkeypatch.setattr("keel.redis.cache.MAX_PENDING", 2)
    app, compute = on_own_server, Compute(1)
    async with running(app):
        cache = services_of(app).cache
        await cache.get_or_compute("a", int, compute, ttl=60)
        with unanswered(app, own_server):
            await cache.invalidate("x", "y", "z")
        await recovered(app)
        await cache.get_or_compute("a", int, compute, ttl=60)

    assert compute.count == 2


async def test_start_without_redis(app: FastAPI, own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process starts without Redis and uses it later; with `REDIS_REQUIRED` it is not ready until then."""
    own_server.kill()
    monkeypatch.setenv("REDIS_URL", own_server.url)
    monkeypatch.setenv("REDIS_REQUIRED", "true")
    other = create_app()
    async with running(other) as client:
        assert await readiness(client) == (503, "", "failed")
        await create(client)
        own_server.start()
        await recovered(other)
        assert await readiness(client) == (200, "ready", "ok")


async def test_limits_hold_for_all_processes(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes share the counters."""
    monkeypatch.setenv("RATE_LIMIT", "3/minute")
    async with running(create_app(), signed_in=False) as one, running(create_app(), signed_in=False) as other:
        answers = [await client.get("/nowhere") for client in (one, other, one, other)]

    assert [answer.status_code for answer in answers] == [404, 404, 404, 429]


async def test_leases_are_returned_at_shutdown(app: FastAPI, redis: Redis) -> None:
    """Unused hits of leases are returned."""
    other = create_app()
    async with running(other, signed_in=False):
        for _ in range(1000):
            await services_of(other).rate_limit.storage.hit("farewell", [Rate(10_000, 10**8)])

    assert redis.hget(f"{RedisSettings.load().prefix}limit:farewell", f"10000/{10**8}:c") == b"1000"


async def test_plain_connections_are_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In deployments, using a remote server without TLS logs a warning at startup."""
    monkeypatch.setenv("ENVIRONMENT", "staging")
    monkeypatch.setenv("ALLOWED_HOSTS", "test")
    monkeypatch.setenv("REDIS_URL", "redis://:secret@192.0.2.1")
    monkeypatch.setenv("REDIS_TIMEOUT", "0.01")
    other = new_app()
    plugin.install(other)
    async with other.router.lifespan_context(other):
        pass

    output = capsys.readouterr().out
    assert "redis_without_tls" in output
    assert "secret" not in output


async def test_heartbeat_continues_after_errors() -> None:
    """An outage skips the remaining callbacks of a beat; other errors do not."""
    beats: list[str] = []

    async def unavailable() -> None:
        beats.append("unavailable")
        raise RedisUnavailable

    async def broken() -> None:
        beats.append("broken")
        raise LookupError

    async def never() -> None:
        beats.append("never")

    task = asyncio.create_task(heartbeat([broken, unavailable, never], seconds=0.001))
    await eventually(lambda: len(beats) >= 4)
    task.cancel()

    assert beats[:4] == ["broken", "unavailable"] * 2


def run(*arguments: str) -> tuple[int, str]:
    """Run a command of `python -m app redis`; return its exit code and its output."""
    result = CliRunner().invoke(cli.build(create_app, "app"), ["redis", *arguments], terminal_width=200)
    return result.exit_code, result.output


async def test_commands(connection: GuardedConnection, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """`info` shows the server and the hit ratio of all processes, `cache clear` invalidates."""
    monkeypatch.setenv("REDIS_PREFIX", OWN)
    compute, cache = Compute(1), RedisCache(connection, prefix=OWN)
    for _ in range(4):
        await cache.get_or_compute("a", int, compute, ttl=60, tags=["t"])
    await cache.report()

    status, output = await asyncio.to_thread(run, "info")
    assert status == 0
    assert "3 of 4" in output
    assert "75.0%" in output
    assert redis.info()["maxmemory_policy"] in output
    assert await asyncio.to_thread(run, "cache", "clear", "--tag", "t") == (0, "Invalidated: t\n")
    await cache.get_or_compute("a", int, compute, ttl=60, tags=["t"])
    assert compute.count == 2
    assert await asyncio.to_thread(run, "cache", "clear") == (0, "Invalidated: everything\n")
    await cache.get_or_compute("a", int, compute, ttl=60, tags=["t"])
    assert compute.count == 3


async def test_commands_without_redis(app: FastAPI, own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands fail with a message."""
    own_server.kill()
    monkeypatch.setenv("REDIS_URL", own_server.url)
    for command in (["info"], ["cache", "clear"]):
        status, output = await asyncio.to_thread(run, *command)
        assert status == 1
        assert "Redis does not answer." in output
