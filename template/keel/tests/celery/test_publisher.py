"""Publishing in the background, and by the relay if the broker was down."""

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from celery.backends.base import DisabledBackend
from celery.exceptions import InvalidTaskError
from fastapi import FastAPI
from httpx2 import AsyncClient
from pydantic import SecretStr
from sqlalchemy import update

from keel import clock
from keel.celery.broker.client import CeleryApp
from keel.celery.broker.kombu_redis import QoS
from keel.celery.broker.publisher import BrokerPublisher
from keel.celery.models import Task
from keel.celery.settings import CelerySettings
from keel.celery.tasks.relay import Relay, make_due
from keel.celery.worker import strategy
from keel.services import services_of
from keel.tests.celery.support import RecordingPublisher, add_task, export, stored

DOWN = "amqp://guest:guest@127.0.0.1:1//"


@pytest.fixture
async def publisher(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BrokerPublisher]:
    """Return a publisher whose broker is down."""

    async def on_failure(task_ids: object) -> None:
        await make_due(services_of(app).database, list(task_ids))  # ty: ignore[invalid-argument-type]

    publisher = BrokerPublisher(CelerySettings(broker_url=SecretStr(DOWN)), on_failure)
    monkeypatch.setattr(services_of(app).celery.jobs, "publisher", publisher)
    yield publisher
    await publisher.drain()


async def test_relay_publishes_what_the_broker_did_not_accept(
    app: FastAPI, client: AsyncClient, publisher: BrokerPublisher
) -> None:
    """The response does not wait for the broker; an outage does not lengthen the relay's pauses."""
    task = await export(client)
    await publisher.drain()
    waiting = await stored(app, UUID(task["id"]))
    failed = [await Relay(services_of(app).database, publisher).run() for _ in range(3)]
    broker = RecordingPublisher()
    relayed = await Relay(services_of(app).database, broker).run()
    after = await stored(app, UUID(task["id"]))

    assert task["state"] == "pending"
    assert waiting is not None
    assert waiting.due_at is not None
    assert waiting.due_at <= clock.now()
    assert (failed, relayed, broker.published) == ([0, 0, 0], 1, [UUID(task["id"])])
    assert after is not None
    assert after.publish_count == 1


async def test_each_task_is_published_once(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks are published in order, even if several are enqueued at once."""
    sent: list[object] = []
    monkeypatch.setattr("keel.celery.broker.client.send", lambda _, task_id: sent.append(task_id))

    async def on_failure(_: object) -> None:
        pytest.fail("the broker accepts messages")

    publisher = BrokerPublisher(CelerySettings(), on_failure)
    ids = [UUID(int=number) for number in range(5)]
    for task_id in ids:
        publisher.publish(task_id)
        await asyncio.sleep(0)
    await publisher.drain()

    assert sent == ids


async def test_relay_pauses_double(app: FastAPI) -> None:
    """A task is republished after a pause that doubles each time."""
    task_id = await add_task(app, None, due_at=clock.now())
    broker = RecordingPublisher()
    relay = Relay(services_of(app).database, broker)
    for count in (1, 2):
        begun = clock.now()
        await relay.run()
        await relay.run()
        task = await stored(app, task_id)
        assert task is not None
        assert task.due_at is not None
        assert task.due_at - begun > timedelta(seconds=55 * count)
        async with services_of(app).database.transaction() as session:
            await session.execute(update(Task).values(due_at=clock.now()))

    assert broker.published == [task_id] * 2


def test_celery_configuration(environment: None) -> None:
    """JSON only, late acknowledgement, one task at a time, time limits, quorum queue, publisher confirms."""
    conf = CeleryApp(CelerySettings(broker_url=SecretStr(DOWN))).conf

    assert conf.accept_content == ["application/json"]
    assert (conf.task_acks_late, conf.task_reject_on_worker_lost, conf.worker_prefetch_multiplier) == (True, True, 1)
    assert 300 < conf.task_soft_time_limit < conf.task_time_limit == 330
    assert not conf.worker_enable_remote_control
    assert conf.task_queues[0].queue_arguments["x-queue-type"] == "quorum"
    assert conf.broker_transport_options["confirm_publish"]


def test_celery_prefers_our_settings_to_its_own_variables(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery also reads these two variables from the environment; a setting may come from a file."""
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://environment//")
    monkeypatch.setenv("CELERY_RESULT_BACKEND", "redis://environment/1")
    celery = CeleryApp(CelerySettings(broker_url=SecretStr("amqp://settings//")))

    assert celery.connection_for_read().hostname == celery.connection_for_write().hostname == "settings"
    assert isinstance(celery.backend, DisabledBackend)


def test_redis_redelivers_only_after_the_hard_time_limit(environment: None) -> None:
    """The visibility timeout is longer than a task may run."""
    conf = CeleryApp(CelerySettings(broker_url=SecretStr("redis://localhost/1"), queue="mine")).conf

    assert conf.broker_transport_options["visibility_timeout"] > conf.task_time_limit
    assert conf.broker_transport_options["global_keyprefix"] == "mine:"


def test_lost_acknowledgement_does_not_block_the_worker() -> None:
    """A message whose acknowledgement could not reach Redis does not count as unacknowledged."""

    @contextmanager
    def down(_: object = None) -> Generator[None]:
        raise ConnectionError
        yield

    for settle in (QoS.ack, QoS.reject):
        qos: Any = QoS(SimpleNamespace(conn_or_acquire=down, do_restore=False), prefetch_count=1)
        qos._delivered["tag"] = "message"
        assert not qos.can_consume()
        with pytest.raises(ConnectionError):
            settle(qos, "tag")
        assert qos.can_consume()


def test_malformed_messages_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any error in Celery's strategy becomes the error for which it drops the message."""

    def receive(message: str) -> str:
        return {"good": "received"}[message]

    monkeypatch.setattr(strategy, "default", lambda *_: receive)
    safe = strategy.strategy(None, None, None)

    assert safe("good") == "received"
    with pytest.raises(InvalidTaskError, match="bad"):
        safe("bad")
