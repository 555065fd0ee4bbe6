"""The relay publishes committed events at least once, in order per key, and marks those that brokers confirmed."""

import asyncio
import json
from collections import defaultdict
from contextlib import AsyncExitStack

import pytest
from aiokafka import ConsumerRecord
from fastapi import FastAPI
from sqlalchemy import update

from keel import clock
from keel.background.shutdown import Shutdown
from keel.kafka import heartbeat
from keel.kafka.cloudevents.envelope import CONTENT_TYPE
from keel.kafka.models import RelayShard
from keel.kafka.publishing import publisher, shards
from keel.kafka.publishing.relay import Relay
from keel.kafka.settings import KafkaSettings
from keel.services import services_of
from keel.testing.ports import Port
from keel.testing.support import PATIENCE
from keel.tests.kafka.support import numbered, read_topic, record, recorded, relay

KEYS = [f"key-{number}" for number in range(20)]


def by_key(records: list[ConsumerRecord[bytes, bytes]]) -> dict[str, list[int]]:
    """Return the numbers of events by key, in partition order, without duplicates."""
    found: dict[str, list[int]] = defaultdict(list)
    seen = set()
    for each in records:
        event = json.loads(each.value or b"")
        if event["id"] not in seen:
            seen.add(event["id"])
            found[(each.key or b"").decode()].append(event["data"]["number"])
    return found


async def unsent(app: FastAPI) -> int:
    """Return the number of waiting events."""
    return sum(row.sent_at is None for row in await recorded(app))


async def until_sent(app: FastAPI, *relays: Relay) -> None:
    """Run relays until no event waits."""
    async with asyncio.timeout(PATIENCE):
        while await unsent(app):
            await asyncio.gather(*(each.run_once() for each in relays))


async def test_publishes_in_order_per_key(app: FastAPI, kafka_settings: KafkaSettings) -> None:
    """Each event is published once, with its key, and marked as sent."""
    await record(app, *numbered(KEYS, 10))
    async with relay(services_of(app).database, kafka_settings) as one:
        await until_sent(app, one)
        assert await one.run_once() == (0, 0)

    records = await read_topic(kafka_settings)
    assert len(records) == 200
    assert by_key(records) == {key: list(range(10)) for key in KEYS}


async def test_message_follows_protocol_binding(app: FastAPI, kafka_settings: KafkaSettings) -> None:
    """CloudEvents over Kafka in structured mode: with its content type, and the row's headers."""
    (id_,) = await record(app, ("ada", 1))
    async with relay(services_of(app).database, kafka_settings) as one:
        await until_sent(app, one)

    (message,) = await read_topic(kafka_settings)
    (row,) = await recorded(app)
    assert dict(message.headers) == {
        "content-type": CONTENT_TYPE.encode(),
        **{name: value.encode() for name, value in row.headers.items()},
    }
    assert message.key == b"ada"
    assert (message.value or b"").decode() == row.payload
    assert json.loads(row.payload)["id"] == str(id_)


async def test_several_relays_share_the_work(app: FastAPI, kafka_settings: KafkaSettings) -> None:
    """Nothing is published twice, and each key stays in order."""
    await record(app, *numbered(KEYS, 10))
    small = kafka_settings.model_copy(update={"relay_batch": 20})
    async with AsyncExitStack() as stack:
        relays = [await stack.enter_async_context(relay(services_of(app).database, small)) for _ in range(3)]
        await until_sent(app, *relays)

    records = await read_topic(kafka_settings)
    assert len(records) == 200
    assert by_key(records) == {key: list(range(10)) for key in KEYS}


async def test_large_batches_are_split(
    app: FastAPI, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the size that brokers accept; the order is kept."""
    monkeypatch.setattr(publisher, "BATCH_BYTES", 2000)
    await record(app, *numbered(KEYS[:2], 30))
    async with relay(services_of(app).database, kafka_settings) as one:
        await until_sent(app, one)
    assert by_key(await read_topic(kafka_settings)) == {key: list(range(30)) for key in KEYS[:2]}


async def test_events_wait_while_no_broker_answers(app: FastAPI, kafka_settings: KafkaSettings) -> None:
    """Nothing is marked as sent; once brokers answer, everything is published in order."""
    port = Port()
    away = kafka_settings.model_copy(update={"bootstrap_servers": (f"127.0.0.1:{port.number}",), "timeout": 0.5})
    await record(app, *numbered(KEYS, 2))
    async with relay(services_of(app).database, away) as one:
        claimed, sent = await one.run_once()
    port.close()
    assert claimed > 0
    assert sent == 0
    assert await unsent(app) == 40

    async with relay(services_of(app).database, kafka_settings) as one:
        await until_sent(app, one)
    assert by_key(await read_topic(kafka_settings)) == {key: [0, 1] for key in KEYS}


async def test_unmarked_events_are_published_again(
    app: FastAPI, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay killed between confirmation and commit loses nothing; first occurrences stay in order."""
    await record(app, *numbered(KEYS, 3))
    confirmed: list[int] = []

    async def killed(_: object, sent: list[int]) -> None:
        confirmed.extend(sent)
        raise RuntimeError

    async with relay(services_of(app).database, kafka_settings) as one:
        with monkeypatch.context() as patch, pytest.raises(RuntimeError):
            patch.setattr(one, "_finish", killed)
            await one.run_once()
    assert confirmed
    assert await unsent(app) == 60
    await expire_claims(app)
    async with relay(services_of(app).database, kafka_settings) as two:
        await until_sent(app, two)

    records = await read_topic(kafka_settings)
    assert len(records) == 60 + len(confirmed)
    assert by_key(records) == {key: [0, 1, 2] for key in KEYS}


async def expire_claims(app: FastAPI) -> None:
    """Let all claims expire."""
    async with services_of(app).database.transaction() as session:
        await session.execute(update(RelayShard).values(expires_at=clock.now()))


async def test_claim_of_another_relay_is_respected(app: FastAPI, kafka_settings: KafkaSettings) -> None:
    """Until it expires, so that a killed relay does not keep it forever."""
    database = services_of(app).database
    await record(app, ("ada", 1))
    await shards.create(database)
    assert await shards.claim(database, "first", 60) == [shards.shard_of("ada")]
    assert await shards.claim(database, "second", 60) == []
    await expire_claims(app)
    assert await shards.claim(database, "second", 60) == [shards.shard_of("ada")]
    # The first relay resumes too late: it does not release the second one's claim.
    async with database.transaction() as session:
        await shards.release(session, "first", [shards.shard_of("ada")])
    assert await shards.claim(database, "third", 60) == []


async def test_runs_until_shutdown(
    app: FastAPI, kafka_settings: KafkaSettings, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a heartbeat; events recorded meanwhile are published."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert not heartbeat.is_alive(60)
    shutdown = Shutdown()
    async with relay(services_of(app).database, kafka_settings) as one:
        running = asyncio.create_task(one.run(shutdown))
        await record(app, ("ada", 1))
        async with asyncio.timeout(PATIENCE):
            while await unsent(app):
                await asyncio.sleep(0.01)
        assert heartbeat.is_alive(60)
        shutdown.begin()
        await running
