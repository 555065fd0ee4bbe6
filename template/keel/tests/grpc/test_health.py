"""The health service."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from keel.grpc.health import LIVENESS, Health
from keel.tests.grpc.probe.grpc import NAME
from keel.tests.grpc.support import TIMEOUT, connected, refused
from keel.web.health import Checks

Response = health_pb2.HealthCheckResponse


class Database:
    """A dependency that may be unavailable."""

    def __init__(self) -> None:
        self.unavailable = False

    async def ping(self) -> None:
        """Succeed, unless it is unavailable."""
        if self.unavailable:
            raise OSError


@pytest.fixture
def database() -> Database:
    """Return the dependency that is checked."""
    return Database()


@pytest.fixture
async def health(environment: None, database: Database) -> AsyncIterator[Health]:
    """Return a health service whose checks run on demand."""
    checks = Checks(timeout=TIMEOUT)
    checks.add("database", database.ping)
    health = Health(checks, ["a"])
    async with health.checking(3600):
        yield health


@asynccontextmanager
async def served(health: Health) -> AsyncGenerator[Any]:
    """Serve it, and give a client."""
    server = grpc.aio.server()
    health.add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with connected(port) as channel:
        yield health_pb2_grpc.HealthStub(channel)
    await server.stop(None)


async def check(stub: Any, service: str) -> Response.ServingStatus:
    """Return the status of a service."""
    return (await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT)).status


async def test_known_services(channel: grpc.aio.Channel) -> None:
    """Known are the server, each of its services, and `liveness`."""
    stub = health_pb2_grpc.HealthStub(channel)
    for name in ("", NAME, LIVENESS):
        assert await check(stub, name) == Response.SERVING
    assert (await refused(check(stub, "unknown"))).code is grpc.StatusCode.NOT_FOUND


async def test_status_follows_the_checks(health: Health, database: Database) -> None:
    """The status follows `/readyz`; `liveness` stays SERVING, and watchers get each change."""
    async with served(health) as stub:
        watching = stub.Watch(health_pb2.HealthCheckRequest(service="a"), timeout=TIMEOUT)
        assert (await watching.read()).status == Response.SERVING
        database.unavailable = True
        await health.check()
        assert (await watching.read()).status == Response.NOT_SERVING
        assert await check(stub, "") == Response.NOT_SERVING
        assert await check(stub, LIVENESS) == Response.SERVING
        database.unavailable = False
        await health.check()
        assert (await watching.read()).status == Response.SERVING
        watching.cancel()


async def test_drain(health: Health) -> None:
    """A draining server stays NOT_SERVING, waits at most its limit, and ends watchers' streams."""
    async with served(health) as stub:
        watching = stub.Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
        unknown = stub.Watch(health_pb2.HealthCheckRequest(service="unknown"), timeout=TIMEOUT)
        assert (await watching.read()).status == Response.SERVING
        assert (await unknown.read()).status == Response.SERVICE_UNKNOWN
        await health.drain(0)
        await health.check()
        assert (await watching.read()).status == Response.NOT_SERVING
        health.end()

        assert await watching.read() is await unknown.read() is grpc.aio.EOF
        assert await check(stub, "") == Response.NOT_SERVING


async def test_checks_are_repeated(health: Health, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks run at each interval."""
    checks, enough = [0], asyncio.Event()

    async def check() -> None:
        checks[0] += 1
        if checks[0] == 3:
            enough.set()

    monkeypatch.setattr(health, "check", check)
    async with health.checking(0.001), asyncio.timeout(TIMEOUT):
        await enough.wait()
