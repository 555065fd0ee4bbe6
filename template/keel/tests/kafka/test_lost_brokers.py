"""Lost and moved leaders, brokers and coordinators: requests are served, and events arrive in order."""

import asyncio
from collections.abc import Sequence

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.background.shutdown import Shutdown
from keel.kafka.consuming import runner
from keel.kafka.consuming.inbox import IncomingMessage
from keel.kafka.settings import KafkaSettings
from keel.testing.support import PATIENCE
from keel.tests.kafka.mock_cluster import MockCluster
from keel.tests.kafka.support import handled, read_topic, record
from keel.tests.kafka.test_relay import by_key, unsent
from keel.tests.kafka.test_runner import consuming, make_runner, publish
from keel.tests.kafka.test_slow_brokers import KEYS, until_handled, until_ready, working
from keel.tests.widgets.api import create

BROKERS = (1, 2, 3)
PARTITIONS = (0, 1, 2, 3)


@pytest.fixture
def kafka_servers(cluster: MockCluster, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Return the addresses of the test's own cluster, and shorten the pause between attempts."""
    monkeypatch.setattr(runner, "MAX_PAUSE", 0.2)
    return tuple(cluster.servers)


async def test_leaders_move(
    connected: tuple[FastAPI, AsyncClient], cluster: MockCluster, kafka_settings: KafkaSettings
) -> None:
    """The leaders of all partitions move repeatedly while events are written."""
    app, client = connected
    topic = kafka_settings.topic("widgets")
    cluster.create_topic(topic, len(PARTITIONS))
    async with working(app, kafka_settings, relay_timeout=2.0):
        for number in range(8):
            await record(app, *((key, number) for key in KEYS))
            await create(client)
            for partition in PARTITIONS:
                cluster.set_leader(topic, partition, BROKERS[(number + partition) % 3])
            async with asyncio.timeout(PATIENCE):
                while not await handled(app):
                    await asyncio.sleep(0.01)
        await until_handled(app, 8)
    assert by_key(await read_topic(kafka_settings)) == {key: list(range(8)) for key in KEYS}


async def test_leaders_move_before_the_first_read(
    connected: tuple[FastAPI, AsyncClient],
    cluster: MockCluster,
    kafka_settings: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A consumer reads partitions whose leaders moved after it was assigned them, and before it knew their offsets."""
    app, _ = connected
    topic = kafka_settings.topic("widgets")
    cluster.create_topic(topic, len(PARTITIONS))
    for partition in PARTITIONS:
        cluster.set_leader(topic, partition, 1)
    await record(app, *((key, 0) for key in KEYS))
    await publish(app, kafka_settings)

    async def move_leaders(*_: object) -> None:
        for partition in PARTITIONS:
            cluster.set_leader(topic, partition, 2)

    monkeypatch.setattr(runner, "METADATA_SECONDS", 1)
    monkeypatch.setattr(runner.Drain, "on_partitions_assigned", move_leaders)
    async with consuming(app, kafka_settings):
        await until_handled(app, 1)


@pytest.mark.faults
async def test_no_leader(
    connected: tuple[FastAPI, AsyncClient], cluster: MockCluster, kafka_settings: KafkaSettings
) -> None:
    """Events wait for partitions without a leader; other partitions continue."""
    app, client = connected
    topic = kafka_settings.topic("widgets")
    cluster.create_topic(topic, len(PARTITIONS))
    async with working(app, kafka_settings, relay_timeout=0.5):
        await record(app, *((key, 0) for key in KEYS))
        await until_handled(app, 1)
        for partition in PARTITIONS[:2]:
            cluster.set_leader(topic, partition, None)
        for number in range(1, 4):
            await record(app, *((key, number) for key in KEYS))
            await create(client)
        await until_ready(client, "kafka_outbox")
        async with asyncio.timeout(PATIENCE):
            while sum(len(numbers) == 4 for numbers in (await handled(app)).values()) < len(KEYS) / 4:
                await asyncio.sleep(0.02)
        assert await unsent(app) > 0

        for partition in PARTITIONS[:2]:
            cluster.set_leader(topic, partition, 3)
        await until_handled(app, 4)
        await until_ready(client)
    assert by_key(await read_topic(kafka_settings)) == {key: list(range(4)) for key in KEYS}


async def test_shutdown_without_brokers(
    connected: tuple[FastAPI, AsyncClient],
    cluster: MockCluster,
    kafka_settings: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A consumer that is stopped while no broker accepts its offsets ends, and the next one handles no event again."""
    app, _ = connected
    cluster.create_topic(kafka_settings.topic("widgets"), 1)
    await record(app, *((key, 0) for key in KEYS))
    await publish(app, kafka_settings)
    shutdown = Shutdown()
    consumer = make_runner(app, kafka_settings.model_copy(update={"timeout": 1.0}), shutdown)
    handle_all = consumer.inbox.handle_all

    async def lose_brokers(messages: Sequence[IncomingMessage]) -> None:
        await handle_all(messages)
        for broker in BROKERS:
            cluster.set_down(broker)
        shutdown.begin()

    monkeypatch.setattr(consumer.inbox, "handle_all", lose_brokers)
    async with asyncio.timeout(PATIENCE):
        await consumer.run()

    for broker in BROKERS:
        cluster.set_up(broker)
    await record(app, *((key, 1) for key in KEYS))
    async with working(app, kafka_settings, relay_timeout=2.0):
        await until_handled(app, 2)


@pytest.mark.faults
async def test_brokers_go_down_and_come_back(
    connected: tuple[FastAPI, AsyncClient], cluster: MockCluster, kafka_settings: KafkaSettings
) -> None:
    """First each broker in turn, with its partitions and the coordinator moved to another; then all at once."""
    app, client = connected
    topic, group = kafka_settings.topic("widgets"), kafka_settings.group("widgets")
    cluster.create_topic(topic, len(PARTITIONS))
    async with working(app, kafka_settings, relay_timeout=2.0):
        await record(app, *((key, 0) for key in KEYS))
        await until_handled(app, 1)
        for number, lost in enumerate(BROKERS, start=1):
            other = lost % 3 + 1
            cluster.set_down(lost)
            cluster.set_coordinator(group, other)
            for partition in PARTITIONS:
                cluster.set_leader(topic, partition, other)
            await record(app, *((key, number) for key in KEYS))
            await create(client)
            await until_handled(app, number + 1)
            cluster.set_up(lost)

        for broker in BROKERS:
            cluster.set_down(broker)
        await record(app, *((key, 4) for key in KEYS))
        await create(client)
        await until_ready(client, "kafka", "kafka_outbox")
        for broker in BROKERS:
            cluster.set_up(broker)
        await until_handled(app, 5)
        await until_ready(client)
    assert by_key(await read_topic(kafka_settings)) == {key: list(range(5)) for key in KEYS}
