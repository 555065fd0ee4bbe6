"""Metrics, as a collector gets them."""

import asyncio
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from opentelemetry.metrics import NoOpMeter
from sqlalchemy import PoolProxiedConnection, QueuePool

from keel.application import new_app
from keel.db.database import Database
from keel.observability.gauges import Gauge, Gauges
from keel.otel import gauges as telemetry
from keel.otel.gauges import resident
from keel.otel.providers import providers
from keel.otel.settings import TelemetrySettings
from keel.services import services_of
from keel.testing.support import PATIENCE
from keel.tests.otel.receiver import Receiver, attributes, points
from keel.tests.otel.support import Trace, flushed

NOTES = "/api/v1/notes"
IDENTIFIER = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}|@|/api/v1/\S*[0-9]{2}")
"""What is different for each row, person or request."""


async def test_requests_are_measured_by_route(client: AsyncClient, receiver: Receiver) -> None:
    """Rate, errors and duration of each route, however many notes there are; the trace of one of them is an example."""
    trace = Trace()
    for _ in range(3):
        note = (await client.post(NOTES, json={"title": "Ahoy"})).json()
        await client.get(f"{NOTES}/{note['id']}", headers=trace.headers)
    metric = (await flushed(receiver)).metrics()["http.server.request.duration"]

    (point,) = [
        point
        for point in points(metric)
        if attributes(point.attributes).get("http.route") == f"{NOTES}/{{note_id}}"
        and attributes(point.attributes)["http.response.status_code"] == 200
        and attributes(point.attributes)["http.request.method"] == "GET"
    ]
    assert metric.unit == "s"
    assert point.count >= 3
    assert trace.id in {example.trace_id.hex() for example in point.exemplars}


async def test_statements_are_measured(client: AsyncClient, receiver: Receiver) -> None:
    """How long the database takes, by operation."""
    await client.post(NOTES, json={"title": "Ahoy"})
    metric = (await flushed(receiver)).metrics()["db.client.operation.duration"]

    seen = {attributes(point.attributes)["db.operation.name"] for point in points(metric)}
    assert {"INSERT", "COMMIT"} <= seen


async def test_what_fills_up_is_measured(app: FastAPI, receiver: Receiver) -> None:
    """Pools with their limits, the cache, subscriptions, the process."""
    metrics = (await flushed(receiver)).metrics()
    limits = {
        attributes(point.attributes)["db.client.connection.pool.name"]: point.as_int
        for point in points(metrics["db.client.connection.max"])
    }
    states = {
        attributes(point.attributes)["db.client.connection.state"]
        for point in points(metrics["db.client.connection.count"])
    }

    assert limits["reader"] >= 1
    assert states == {"used", "idle"}
    assert {"app.cache.requests", "app.cache.invalidations", "app.pubsub.listeners"} <= metrics.keys()
    assert points(metrics["process.memory.usage"])[0].as_int > 10_000_000
    assert sum(point.as_double for point in points(metrics["process.cpu.time"])) > 0.1


async def test_waiting_for_connections_is_measured(
    client: AsyncClient, database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever finds all connections of a pool in use waits, and that shows."""
    before = await waits(receiver)
    engine, waiting = database.writer.sync_engine, asyncio.Event()
    assert isinstance(engine.pool, QueuePool)

    def connect(connect: Callable[[], PoolProxiedConnection] = engine.raw_connection) -> PoolProxiedConnection:
        waiting.set()
        return connect()

    async with AsyncExitStack() as held:
        for _ in range(engine.pool.size()):
            await held.enter_async_context(database.writer.connect())
        monkeypatch.setattr(engine, "raw_connection", connect)
        creating = asyncio.create_task(client.post(NOTES, json={"title": "Ahoy"}))
        await asyncio.wait_for(waiting.wait(), PATIENCE)
        await asyncio.sleep(0.1)
    answer = await creating

    assert answer.status_code == 201
    # Timers may be a millisecond early.
    assert await waits(receiver) - before > 0.09


async def waits(receiver: Receiver) -> float:
    """Return the seconds that were spent on waiting for the writer's connections so far."""
    metric = (await flushed(receiver)).metrics().get("db.client.connection.wait_time")
    found = {
        attributes(point.attributes)["db.client.connection.pool.name"]: point.sum
        for point in (points(metric) if metric else ())
    }
    return found.get("writer", 0.0)


async def test_a_late_event_loop_is_seen(app: FastAPI, receiver: Receiver, monkeypatch: object) -> None:
    """Whatever blocks it shows."""
    readings = providers(TelemetrySettings.load()).readings
    assert readings is not None
    watching = asyncio.create_task(readings._watch_loop())
    try:
        async with asyncio.timeout(PATIENCE):
            while "app.event_loop.delay" not in (await flushed(receiver)).metrics():
                await asyncio.sleep(0.1)
    finally:
        watching.cancel()


async def test_packages_are_asked(app: FastAPI, receiver: Receiver) -> None:
    """What they let be read is a gauge; what fails once is asked again the next time."""
    readings = providers(TelemetrySettings.load()).readings
    assert readings is not None
    answers: list[float | Exception] = [ConnectionError("away"), 7.0]

    async def read() -> list[float]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return [answer]

    other = new_app()
    services_of(other).gauges = Gauges()
    services_of(other).gauges.register([Gauge("test.tide.level", "m", "How high the water stands")], read)
    await readings.ask(other)
    await readings.ask(other)

    (point,) = points((await flushed(receiver)).metrics()["test.tide.level"])
    assert point.as_double == 7.0


async def test_what_is_being_read_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shutdown cuts nothing off: a connection would be left behind."""
    monkeypatch.setattr(telemetry, "PATIENCE", PATIENCE)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def read() -> list[float]:
        begun.set()
        await asyncio.sleep(0.02)
        ended.set()
        return []

    app = new_app()
    services_of(app).gauges = Gauges()
    services_of(app).gauges.register([], read)
    async with telemetry.Gauges(NoOpMeter("test"), seconds=0.001).of(app):
        await begun.wait()

    assert ended.is_set()


async def test_what_packages_let_be_read_can_be_read(app: FastAPI) -> None:
    """Each gauge has a value, a name that others could have, and a unit."""
    for gauges, read in services_of(app).gauges.reads:
        assert len(await read()) == len(gauges)
        for gauge in gauges:
            assert re.fullmatch(r"[a-z]+(\.[a-z_]+)+", gauge.name)
            assert gauge.unit


async def test_nothing_is_measured_by_person_or_row(client: AsyncClient, receiver: Receiver) -> None:
    """The number of series is bounded by the code, not by what callers send."""
    for path in ("/nowhere/11111111-2222", f"{NOTES}/not-an-id", f"{NOTES}?search=ada@example.com"):
        await client.get(path)
    await client.request("BREW", NOTES)
    metrics = (await flushed(receiver)).metrics()

    values = {
        str(value)
        for metric in metrics.values()
        for point in points(metric)
        for value in attributes(point.attributes).values()
    }
    assert [value for value in values if IDENTIFIER.search(value)] == []
    assert "BREW" not in values


def test_memory_where_the_system_does_not_tell(tmp_path: Path) -> None:
    """The most that was ever held."""
    assert resident(tmp_path / "none") > 10_000_000
