"""Slow brokers and half-open connections: requests are served, nothing is lost, and the order is kept."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.background.shutdown import Shutdown
from keel.kafka.consuming import runner
from keel.kafka.consuming.runner import Runner
from keel.kafka.settings import KafkaSettings
from keel.services import services_of
from keel.tests.kafka.proxies import Proxies, rerouted
from keel.tests.kafka.support import handled, read_topic, record, relay
from keel.tests.kafka.test_readiness import failed
from keel.tests.kafka.test_relay import by_key, unsent
from keel.tests.widgets.api import create

pytestmark = pytest.mark.faults

PATIENCE = 300
KEYS = [f"key-{number}" for number in range(20)]


@pytest.fixture
def brokers(proxies: Proxies) -> tuple[str, ...]:
    """Return the addresses of the proxies."""
    return tuple(f"127.0.0.1:{port}" for port in proxies.ports.values())


@asynccontextmanager
async def working(app: FastAPI, settings: KafkaSettings, *, relay_timeout: float) -> AsyncGenerator[None]:
    """Run a relay and a consumer."""
    services, shutdown = services_of(app), Shutdown()
    consumer = Runner(services.database, settings, services.job_context, services.kafka.consumers["widgets"], shutdown)
    async with (
        relay(services.database, settings.model_copy(update={"timeout": relay_timeout})) as one,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(one.run(shutdown))
        group.create_task(consumer.run())
        try:
            yield
        finally:
            shutdown.begin()


async def until_ready(client: AsyncClient, *problems: str) -> None:
    """Wait until `/readyz` reports exactly these problems, or ready if there are none."""
    expected = ("degraded" if problems else "ready", set(problems))
    async with asyncio.timeout(PATIENCE):
        while await failed(client) != expected:
            await asyncio.sleep(0.01)


async def until_handled(app: FastAPI, count: int) -> None:
    """Wait until the consumer has handled `count` events of each key, in order and each once."""
    async with asyncio.timeout(PATIENCE):
        while sum(map(len, (await handled(app)).values())) < count * len(KEYS):
            await asyncio.sleep(0.02)
    assert await handled(app) == {key: list(range(count)) for key in KEYS}


@pytest.fixture
def connections(proxies: Proxies, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Redirect clients to the proxies, and shorten the pause between attempts."""
    monkeypatch.setattr(runner, "MAX_PAUSE", 0.5)
    with rerouted(proxies.ports):
        yield


@pytest.mark.parametrize("requests_arrive", [False, True], ids=["nothing-arrives", "requests-arrive"])
async def test_half_open(
    connected: tuple[FastAPI, AsyncClient],
    kafka_settings: KafkaSettings,
    proxies: Proxies,
    connections: None,
    *,
    requests_arrive: bool,
) -> None:
    """No response arrives: clients time out and continue on new connections once these work."""
    app, client = connected
    async with working(app, kafka_settings, relay_timeout=1.0):
        await record(app, *((key, 0) for key in KEYS))
        await until_handled(app, 1)
        await until_ready(client)

        proxies.half_open(requests_arrive=requests_arrive)
        before = proxies.accepted
        for number in range(1, 6):
            await record(app, *((key, number) for key in KEYS))
        await until_ready(client, "kafka_outbox")
        await create(client)
        async with asyncio.timeout(PATIENCE):
            while proxies.accepted == before:
                await create(client)
        assert await unsent(app) == 5 * len(KEYS)

        proxies.heal()
        await record(app, *((key, 6) for key in KEYS))
        await until_handled(app, 7)
        await until_ready(client)

    records = await read_topic(kafka_settings)
    assert by_key(records) == {key: list(range(7)) for key in KEYS}
    # Events that arrived but were not confirmed are published again, without a second effect.
    assert (len(records) > 7 * len(KEYS)) is requests_arrive


async def test_slow(
    connected: tuple[FastAPI, AsyncClient], kafka_settings: KafkaSettings, proxies: Proxies, connections: None
) -> None:
    """Requests to brokers take two seconds: the application stays responsive, and no event is published twice."""
    app, client = connected
    async with working(app, kafka_settings, relay_timeout=kafka_settings.timeout):
        await record(app, *((key, 0) for key in KEYS))
        await until_handled(app, 1)
        await until_ready(client)

        proxies.delay = 1.0
        await record(app, *((key, 1) for key in KEYS))
        await until_ready(client, "kafka_outbox")
        waiting = 0
        for number in range(2, 6):
            await record(app, *((key, number) for key in KEYS))
            await create(client)
            waiting = max(waiting, await unsent(app))
        assert waiting
        await until_handled(app, 6)
        proxies.delay = 0.0
        await until_ready(client)

    records = await read_topic(kafka_settings)
    assert by_key(records) == {key: list(range(6)) for key in KEYS}
    assert len(records) == 6 * len(KEYS)
