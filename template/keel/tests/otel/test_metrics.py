"""Metrics, as received by a collector."""

import asyncio
import re
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from opentelemetry.metrics import NoOpMeter, get_meter
from sqlalchemy import PoolProxiedConnection, QueuePool
from structlog.testing import capture_logs

from keel.db.database import Database
from keel.features import FEATURES
from keel.observability.gauges import Gauge
from keel.otel import gauge_reader
from keel.otel.gauge_reader import GaugeReader, find_reads
from keel.otel.runtime_metrics import resident
from keel.packages import find_package
from keel.testing.support import PATIENCE
from keel.tests.otel.receiver import Receiver, attributes, points
from keel.tests.otel.support import Trace, flushed
from keel.tests.widgets.api import WIDGETS

IDENTIFIER = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}|@|/api/v1/\S*[0-9]{2}")
"""Values that differ per row, person or request."""


async def test_requests_are_measured_by_route(client: AsyncClient, receiver: Receiver) -> None:
    """Rate, errors and duration per route, however many widgets there are; an exemplar links to a trace."""
    trace = Trace()
    for _ in range(3):
        widget = (await client.post(WIDGETS, json={"title": "Ahoy"})).json()
        await client.get(f"{WIDGETS}/{widget['id']}", headers=trace.headers)
    metric = (await flushed(receiver)).metrics()["http.server.request.duration"]

    (point,) = [
        point
        for point in points(metric)
        if attributes(point.attributes).get("http.route") == f"{WIDGETS}/{{widget_id}}"
        and attributes(point.attributes)["http.response.status_code"] == 200
        and attributes(point.attributes)["http.request.method"] == "GET"
    ]
    assert metric.unit == "s"
    assert point.count >= 3
    assert trace.id in {exemplar.trace_id.hex() for exemplar in point.exemplars}


async def test_statements_are_measured(client: AsyncClient, receiver: Receiver) -> None:
    """Durations of database operations, by operation."""
    await client.post(WIDGETS, json={"title": "Ahoy"})
    metric = (await flushed(receiver)).metrics()["db.client.operation.duration"]

    seen = {attributes(point.attributes)["db.operation.name"] for point in points(metric)}
    assert {"INSERT", "COMMIT"} <= seen


async def test_resources_are_measured(app: FastAPI, receiver: Receiver) -> None:
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
    """The time that a request waits for a pooled connection is measured."""
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
        creating = asyncio.create_task(client.post(WIDGETS, json={"title": "Ahoy"}))
        await asyncio.wait_for(waiting.wait(), PATIENCE)
        await asyncio.sleep(0.1)
    answer = await creating

    assert answer.status_code == 201
    # Timers may be a millisecond early.
    assert await waits(receiver) - before > 0.09


async def waits(receiver: Receiver) -> float:
    """Return the seconds spent waiting for the writer's connections so far."""
    metric = (await flushed(receiver)).metrics().get("db.client.connection.wait_time")
    found = {
        attributes(point.attributes)["db.client.connection.pool.name"]: point.sum
        for point in (points(metric) if metric else ())
    }
    return found.get("writer", 0.0)


async def test_event_loop_delay_is_measured(app: FastAPI, receiver: Receiver) -> None:
    """A callback that blocks the event loop shows up."""
    async with asyncio.timeout(PATIENCE):
        while "app.event_loop.delay" not in (await flushed(receiver)).metrics():
            await asyncio.sleep(0.1)


LEVEL = Gauge("test.tide.level", "m", "Height of the water")


async def test_gauges_of_packages_are_read(app: FastAPI, receiver: Receiver) -> None:
    """A failed read is retried next time, and its value exported."""
    answers: list[float | Exception] = [ConnectionError("refused"), 7.0]

    async def read(_: FastAPI) -> Mapping[Gauge, float]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {LEVEL: answer}

    reader = GaugeReader(get_meter("tests"), [read])
    with capture_logs() as logged:
        await reader.read(app)
        await reader.read(app)

    assert [line["event"] for line in logged] == ["gauge_failed"]
    (point,) = points((await flushed(receiver)).metrics()["test.tide.level"])
    assert point.as_double == 7.0


async def test_shutdown_waits_for_a_read_in_progress(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelling it would leak a connection."""
    monkeypatch.setattr(gauge_reader, "PATIENCE", PATIENCE)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def read(_: FastAPI) -> Mapping[Gauge, float]:
        begun.set()
        await asyncio.sleep(0.02)
        ended.set()
        return {}

    async with GaugeReader(NoOpMeter("test"), [read]).reading(app, seconds=0.001):
        await begun.wait()

    assert ended.is_set()


HARBOUR = """
async def read(app):
    return {}
"""


def test_modules_named_gauges_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the application's packages come after those of the features."""
    package = tmp_path / "harbour_with_gauges"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "gauges.py").write_text(HARBOUR, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    features = [feature.__name__.removesuffix(".plugin") for feature in FEATURES]
    offering = [name for name in features if "gauges" in find_package(name).offers]

    found = [read.__module__ for read in find_reads([find_package(package.name)])]
    assert found == [f"{name}.gauges" for name in (*offering, package.name)]


async def test_series_do_not_depend_on_input(client: AsyncClient, receiver: Receiver) -> None:
    """The number of series is bounded by the code, not by what callers send."""
    for path in ("/nowhere/11111111-2222", f"{WIDGETS}/not-an-id", f"{WIDGETS}?search=ada@example.com"):
        await client.get(path)
    await client.request("BREW", WIDGETS)
    metrics = (await flushed(receiver)).metrics()

    values = {
        str(value)
        for metric in metrics.values()
        for point in points(metric)
        for value in attributes(point.attributes).values()
    }
    assert [value for value in values if IDENTIFIER.search(value)] == []
    assert "BREW" not in values


def test_memory_without_proc(tmp_path: Path) -> None:
    """The peak memory is reported instead."""
    assert resident(tmp_path / "none") > 10_000_000
