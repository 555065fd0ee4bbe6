"""Brokers that are full or refuse events: requests are served, events wait, and a refused event blocks only its key."""

import asyncio
import logging
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.kafka.client import LINES, LOGGERS, bound_log
from keel.kafka.publishing import publisher
from keel.kafka.publishing import relay as relays
from keel.kafka.publishing.batches import Outcome, OutgoingMessage
from keel.kafka.publishing.publisher import Publisher
from keel.kafka.settings import KafkaSettings
from keel.services import services_of
from keel.testing.support import PATIENCE
from keel.tests.kafka.mock_cluster import Answer, MockCluster, Request
from keel.tests.kafka.proxies import Proxies, rerouted
from keel.tests.kafka.support import numbered, read_topic, record, recorded, relay
from keel.tests.kafka.test_relay import by_key, unsent
from keel.tests.kafka.test_slow_brokers import KEYS, until_handled, until_ready, working
from keel.tests.widgets.api import create
from keel.tests.widgets.outbox import WidgetMade


@pytest.fixture
def kafka_servers(cluster: MockCluster) -> tuple[str, ...]:
    """Return the addresses of the test's own cluster."""
    return tuple(cluster.servers)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have relays retry sooner than in production."""
    monkeypatch.setattr(relays, "MAX_PAUSE", 0.2)
    monkeypatch.setattr(relays, "WAITING_SECONDS", 0.1)
    monkeypatch.setattr(relays, "REFUSED_SECONDS", 0.2)


@contextmanager
def refused(cluster: MockCluster, proxies: Proxies, topic: str, marker: bytes) -> Generator[None]:
    """Have a broker refuse batches that contain the marker as too large."""

    def inspect(request: bytes) -> None:
        if request.startswith(Request.PRODUCE.to_bytes(2)) and marker in request:
            cluster.answer_for(topic, 0, Request.PRODUCE, Answer.MESSAGE_TOO_LARGE)

    proxies.inspect = inspect
    try:
        yield
    finally:
        proxies.inspect = None


@pytest.mark.parametrize("others", [1, 60], ids=["few", "more-than-a-batch"])
async def test_refused_event_blocks_only_its_key(
    app: FastAPI,
    cluster: MockCluster,
    kafka_settings: KafkaSettings,
    proxies: Proxies,
    capsys: pytest.CaptureFixture[str],
    *,
    others: int,
) -> None:
    """Others in its batch and partition are published, its id is logged, and it is published once brokers accept it."""
    settings = kafka_settings.model_copy(update={"compression": "none", "relay_batch": 50})
    topic = settings.topic("widgets")
    cluster.create_topic(topic, 1)
    poison, *_ = await record(app, *(("poison", number) for number in range(others)))
    await record(app, *numbered(KEYS, 3))
    with rerouted(proxies.ports):
        async with relay(services_of(app).database, settings) as one:
            with refused(cluster, proxies, topic, str(poison).encode()):
                async with asyncio.timeout(PATIENCE):
                    while await unsent(app) > others:
                        await one.run_once()
                assert {row.key for row in await recorded(app) if row.sent_at is None} == {"poison"}
                assert str(poison) in capsys.readouterr().out
            async with asyncio.timeout(PATIENCE):
                while await unsent(app):
                    await one.run_once()
    expected = {key: [0, 1, 2] for key in KEYS} | {"poison": list(range(others))}
    assert by_key(await read_topic(settings)) == expected


async def test_batches_shrink_to_the_limit_of_the_topic(
    app: FastAPI,
    cluster: MockCluster,
    kafka_settings: KafkaSettings,
    proxies: Proxies,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """If a topic accepts less than the brokers' default, batches become smaller, and no event is logged as refused."""
    settings = kafka_settings.model_copy(update={"compression": "none"})
    topic = settings.topic("widgets")
    cluster.create_topic(topic, 1)
    await record(app, *numbered(KEYS, 10))
    refusals = 0

    def inspect(request: bytes) -> None:
        nonlocal refusals
        if request.startswith(Request.PRODUCE.to_bytes(2)) and len(request) > 20_000:
            refusals += 1
            cluster.answer_for(topic, 0, Request.PRODUCE, Answer.MESSAGE_TOO_LARGE)

    proxies.inspect = inspect
    with rerouted(proxies.ports):
        async with relay(services_of(app).database, settings) as one, asyncio.timeout(PATIENCE):
            while await unsent(app):
                await one.run_once()
            assert refusals
            before = refusals
            await record(app, *((key, number) for number in range(10, 20) for key in KEYS))
            while await unsent(app):
                await one.run_once()
    assert refusals == before
    assert "event_refused" not in capsys.readouterr().out
    assert by_key(await read_topic(settings)) == {key: list(range(20)) for key in KEYS}


class OtherMade(WidgetMade):
    """An event of another topic."""

    aggregate_type = "others"
    event_type = "others.made"


@pytest.mark.parametrize("error", [Answer.TOPIC_AUTHORIZATION_FAILED, Answer.UNKNOWN_TOPIC_OR_PARTITION])
async def test_unavailable_topic(
    app: FastAPI,
    cluster: MockCluster,
    kafka_settings: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    error: Answer,
) -> None:
    """Its events wait, those of other topics are published, and its name is logged."""
    monkeypatch.setattr(publisher, "TOPIC_SECONDS", 0.2)
    settings = kafka_settings.model_copy(update={"timeout": 0.5, "relay_batch": 10})
    topic = settings.topic("others")
    cluster.create_topic(topic, 1)
    cluster.set_topic_error(topic, error)
    outbox, database = services_of(app).kafka.outbox, services_of(app).database
    async with database.transaction() as session:
        await outbox.record_all(session, [(uuid4(), OtherMade(id=uuid4(), number=number)) for number in range(20)])
    await record(app, *numbered(KEYS, 1))
    async with relay(database, settings) as one, asyncio.timeout(PATIENCE):
        while await unsent(app) > 20:
            await one.run_once()
        assert {row.aggregatetype for row in await recorded(app) if row.sent_at is None} == {"others"}
        assert topic in capsys.readouterr().out

        cluster.set_topic_error(topic, Answer.NO_ERROR)
        while await unsent(app):
            await one.run_once()


@pytest.fixture
def lines() -> Iterator[list[logging.LogRecord]]:
    """Return aiokafka's log records; filters that a test adds to its loggers are removed afterwards."""
    found: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record)

    keep = Keep()
    before = {name: list(logging.getLogger(name).filters) for name in LOGGERS}
    logging.getLogger("aiokafka").addHandler(keep)
    yield found
    logging.getLogger("aiokafka").removeHandler(keep)
    for name, filters in before.items():
        logging.getLogger(name).filters = filters


async def test_log_while_no_broker_answers(
    cluster: MockCluster, kafka_settings: KafkaSettings, lines: list[logging.LogRecord]
) -> None:
    """The client retries at once and logs each attempt; only the first lines are let through."""
    bound_log()
    one = Publisher(kafka_settings.model_copy(update={"timeout": 1.0}))
    message = OutgoingMessage(1, kafka_settings.topic("widgets"), b"ada", b"{}", [], 0)
    await one.publish([message], outcome := Outcome())
    assert outcome.sent == [1]
    for broker in (1, 2, 3):
        cluster.set_down(broker)
    await one.publish([message], outcome := Outcome())
    assert outcome == Outcome(waiting=[1])
    assert max(Counter((line.name, line.msg) for line in lines).values()) == LINES
    for broker in (1, 2, 3):
        cluster.set_up(broker)
    await one.close()


@pytest.mark.faults
@pytest.mark.parametrize(
    "answer",
    [Answer.KAFKA_STORAGE_ERROR, Answer.NOT_ENOUGH_REPLICAS, Answer.REQUEST_TIMED_OUT, Answer.POLICY_VIOLATION],
    ids=lambda answer: answer.name,
)
async def test_full_brokers(
    connected: tuple[FastAPI, AsyncClient],
    cluster: MockCluster,
    kafka_settings: KafkaSettings,
    answer: Answer,
) -> None:
    """Until they recover, `/readyz` reports degraded and tasks do not pile up; then all events arrive in order."""
    app, client = connected
    async with working(app, kafka_settings, relay_timeout=0.5):
        await record(app, *((key, 0) for key in KEYS))
        await until_handled(app, 1)
        cluster.answer(Request.PRODUCE, *[answer] * 100_000)
        await record(app, *((key, 1) for key in KEYS))
        await until_ready(client, "kafka_outbox")
        tasks = []
        for number in range(2, 12):
            await record(app, *((key, number) for key in KEYS))
            await create(client)
            await asyncio.sleep(0.5)
            tasks.append(len(asyncio.all_tasks()))
        assert max(tasks) - tasks[0] < 10
        cluster.answer_as_usual(Request.PRODUCE)
        await until_handled(app, 12)
        await until_ready(client)
    records = await read_topic(kafka_settings)
    assert by_key(records) == {key: list(range(12)) for key in KEYS}
    # A batch stays in flight until it is stored, rather than being given up and sent again.
    assert len(records) == 12 * len(KEYS)
