"""`/readyz` reports degraded when events wait, with status 200: the process stays in service."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import update

from keel import clock
from keel.kafka.consuming import lags
from keel.kafka.models import OutboxEvent
from keel.kafka.readiness import REPORTED
from keel.services import services_of
from keel.testing.support import running
from keel.tests.application import create_app
from keel.tests.kafka.support import record


@pytest.fixture
async def connected(
    environment: None, kafka_servers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[FastAPI, AsyncClient]]:
    """Return an application with brokers, and a client for it."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", ",".join(kafka_servers))
    monkeypatch.setenv("KAFKA_MAX_LAG", "10")
    app = create_app()
    async with running(app) as client:
        yield app, client


async def failed(client: AsyncClient) -> tuple[str, set[str]]:
    """Return the status and the names of failed checks."""
    answer = await client.get("/readyz")
    assert answer.status_code == 200
    checks = answer.json()["checks"]
    return answer.json()["status"], {name for name, check in checks.items() if check["status"] == "failed"}


async def test_ready_with_a_broker(connected: tuple[FastAPI, AsyncClient]) -> None:
    """All checks are reported, and pass."""
    _, client = connected
    assert await failed(client) == ("ready", set())
    checks = (await client.get("/readyz")).json()["checks"]
    assert {"kafka", "kafka_outbox", "kafka_consumers"} <= checks.keys()


async def test_no_broker(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configured broker accepts connections; an invalid address counts as one that does not."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1, nonsense")
    async with running(create_app()) as client:
        assert await failed(client) == ("degraded", {"kafka"})


async def test_old_event_in_the_outbox(connected: tuple[FastAPI, AsyncClient]) -> None:
    """Reported while it is unsent, as when no relay is running."""
    app, client = connected
    await record(app, ("ada", 1))
    assert await failed(client) == ("ready", set())
    async with services_of(app).database.transaction() as session:
        await session.execute(update(OutboxEvent).values(created_at=clock.now() - timedelta(minutes=5)))
    assert await failed(client) == ("degraded", {"kafka_outbox"})
    async with services_of(app).database.transaction() as session:
        await session.execute(update(OutboxEvent).values(sent_at=clock.now()))
    assert await failed(client) == ("ready", set())


async def test_consumer_lag(connected: tuple[FastAPI, AsyncClient], monkeypatch: pytest.MonkeyPatch) -> None:
    """As last reported by its process; old reports of ended processes are ignored."""
    app, client = connected
    database = services_of(app).database
    await lags.report(database, "widgets", {("t", 0): 3, ("t", 1): 11})
    assert await failed(client) == ("degraded", {"kafka_consumers"})
    await lags.report(database, "widgets", {("t", 1): 0})
    assert await failed(client) == ("ready", set())
    long_ago = clock.now() - 2 * REPORTED
    with monkeypatch.context() as patch:
        patch.setattr(clock, "now", lambda: long_ago)
        await lags.report(database, "gone", {("t", 1): 99})
    assert await failed(client) == ("ready", set())
