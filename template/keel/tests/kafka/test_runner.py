"""Consumers connected to a cluster: groups, offsets, rebuilding."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from keel.background.shutdown import Shutdown
from keel.kafka.consuming import lags, runner
from keel.kafka.consuming.rebuilding import CannotRebuild, rebuild
from keel.kafka.consuming.runner import Runner
from keel.kafka.models import ConsumerLag
from keel.kafka.settings import KafkaSettings
from keel.services import services_of
from keel.testing.support import PATIENCE
from keel.tests.kafka.support import PatientAssignor, deliveries, handled, numbered, record, recorded, relay

KEYS = [f"key-{number}" for number in range(8)]


@pytest.fixture
def kafka_settings(kafka_settings: KafkaSettings) -> KafkaSettings:
    """Return settings with a short session, for processes join a group one after the other."""
    return kafka_settings.model_copy(update={"session_timeout": 3.0})


def make_runner(app: FastAPI, settings: KafkaSettings, shutdown: Shutdown) -> Runner:
    """Return a runner for the consumer of widgets."""
    services = services_of(app)
    consumer = services.kafka.consumers["widgets"]
    return Runner(services.database, settings, services.job_context, consumer, shutdown)


@asynccontextmanager
async def consuming(app: FastAPI, settings: KafkaSettings) -> AsyncGenerator[None]:
    """Run the consumer, then stop it as a signal does."""
    shutdown = Shutdown()
    running = asyncio.create_task(make_runner(app, settings, shutdown).run())
    try:
        yield
    finally:
        shutdown.begin()
        await running


async def publish(app: FastAPI, settings: KafkaSettings) -> None:
    """Publish all recorded events."""
    async with relay(services_of(app).database, settings) as one:
        while any(row.sent_at is None for row in await recorded(app)):
            await one.run_once()


async def until(app: FastAPI, expected: Callable[[], dict[str, list[int]]]) -> None:
    """Wait until the consumer has stored the expected numbers."""
    async with asyncio.timeout(PATIENCE):
        while await handled(app) != expected():
            await asyncio.sleep(0.02)


async def test_resumes_from_committed_offsets(
    app: FastAPI, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next process does not handle again what a stopped one has handled, even if the inbox is emptied."""
    monkeypatch.setattr(lags, "REPORT_SECONDS", 0)
    await record(app, *numbered(KEYS, 5))
    await publish(app, kafka_settings)
    async with consuming(app, kafka_settings):
        await until(app, lambda: {key: list(range(5)) for key in KEYS})
    rows = await services_of(app).database.read.all(select(ConsumerLag.consumer, ConsumerLag.lag))
    assert {row.consumer for row in rows} == {"widgets"}
    assert sum(row.lag for row in rows) == 0

    async with services_of(app).database.transaction() as session:
        await make_runner(app, kafka_settings, Shutdown()).inbox.forget(session)
    await record(app, *((key, 5) for key in KEYS))
    await publish(app, kafka_settings)
    async with consuming(app, kafka_settings):
        await until(app, lambda: {key: list(range(6)) for key in KEYS})


async def test_stops_reading_while_too_many_events_wait(
    app: FastAPI, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer that fails for every event leaves them in the topic, rather than copying all to the database."""
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.05)
    small = kafka_settings.model_copy(
        update={"max_waiting": 3, "consumer_batch": 2, "retry_backoff": 3600.0, "retry_backoff_max": 3600.0}
    )
    await record(app, *numbered(KEYS, 5))
    await publish(app, small)
    shutdown = Shutdown()
    failing = make_runner(app, small, shutdown)
    paused = asyncio.Event()

    async def fail(*_: object) -> None:
        raise RuntimeError

    async def pause(seconds: float) -> None:
        if await failing.inbox.count_waiting() >= 3:
            paused.set()
        await asyncio.sleep(0.01)

    monkeypatch.setattr(failing.inbox, "handle", fail)
    monkeypatch.setattr(failing, "_pause", pause)
    running = asyncio.create_task(failing.run())
    async with asyncio.timeout(PATIENCE):
        await paused.wait()
    shutdown.begin()
    await running
    # The limit is exceeded by at most one batch of each of the four partitions.
    assert 3 <= len(await deliveries(app)) <= 3 + 8


async def test_rebuild(app: FastAPI, kafka_settings: KafkaSettings) -> None:
    """A consumer's data is deleted, then rebuilt from the beginning of its topics."""
    await record(app, *numbered(KEYS, 3))
    await publish(app, kafka_settings)
    async with consuming(app, kafka_settings):
        await until(app, lambda: {key: [0, 1, 2] for key in KEYS})

    alone = make_runner(app, kafka_settings, Shutdown())
    consumer = services_of(app).kafka.consumers["widgets"]
    assert await rebuild(services_of(app).database, kafka_settings, consumer, alone) == 24
    assert await handled(app) == {key: [0, 1, 2] for key in KEYS}


async def test_rebuild_refuses_while_the_consumer_runs(
    app: FastAPI, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is deleted then: two processes would handle the same events."""
    monkeypatch.setattr(runner, "RoundRobinPartitionAssignor", PatientAssignor)
    await record(app, *numbered(KEYS, 1))
    await publish(app, kafka_settings)
    alone = make_runner(app, kafka_settings, Shutdown())
    consumer = services_of(app).kafka.consumers["widgets"]
    joined, done = threading.Event(), threading.Event()

    async def belong_to_the_group() -> None:
        member = make_runner(app, kafka_settings, Shutdown()).connection()
        member.subscribe([kafka_settings.topic("widgets")])
        await member.start()
        joined.set()
        while not done.is_set():
            await member.getmany(timeout_ms=100)
        await member.stop()

    # In a thread: the group's leader blocks its own event loop, and the other member must send its request first.
    other = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(belong_to_the_group())))
    await asyncio.to_thread(joined.wait, PATIENCE)
    with pytest.raises(CannotRebuild, match="stop"):
        await rebuild(services_of(app).database, kafka_settings, consumer, alone)
    done.set()
    await other


async def test_consumer_without_reset_cannot_be_rebuilt(app: FastAPI, kafka_settings: KafkaSettings) -> None:
    """Without `reset`, its data cannot be deleted."""
    services = services_of(app)
    consumer = replace(services.kafka.consumers["widgets"], reset=None)
    alone = Runner(services.database, kafka_settings, services.job_context, consumer, Shutdown())
    with pytest.raises(CannotRebuild, match="has no `reset`"):
        await rebuild(services.database, kafka_settings, consumer, alone)
