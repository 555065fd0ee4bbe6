"""Messages: sent after the commit, never waited for, and sent later if the broker is away."""

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from celery.exceptions import InvalidTaskError
from fastapi import FastAPI
from httpx2 import AsyncClient
from pydantic import SecretStr
from sqlalchemy import update

from keel import clock
from keel.celery import strategy
from keel.celery.announcing import BrokerAnnouncer
from keel.celery.broker import make_celery
from keel.celery.models import Task
from keel.celery.redis_broker import QoS
from keel.celery.relay import Relay, make_due
from keel.celery.settings import WorkerSettings
from keel.celery.state import Worker
from keel.services import services_of
from keel.tests.celery.support import Silence, export, given, stored

AWAY = "amqp://guest:guest@127.0.0.1:1//"


@pytest.fixture
async def announcer(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BrokerAnnouncer]:
    """Return an announcer whose broker is away."""

    async def failed(task_ids: object) -> None:
        await make_due(services_of(app).database, list(task_ids))  # ty: ignore[invalid-argument-type]

    announcer = BrokerAnnouncer(WorkerSettings(broker_url=SecretStr(AWAY)), failed)
    monkeypatch.setattr(Worker.of(app).jobs, "announcer", announcer)
    yield announcer
    await announcer.drain()


async def test_broker_that_is_away(app: FastAPI, client: AsyncClient, announcer: BrokerAnnouncer) -> None:
    """The caller is told at once that the task waits, which is true; the relay announces it when it can."""
    task = await export(client)
    await announcer.drain()
    waiting = await stored(app, UUID(task["id"]))
    vain = [await Relay(services_of(app).database, announcer).run() for _ in range(3)]
    broker = Silence()
    relayed = await Relay(services_of(app).database, broker).run()
    announced = await stored(app, UUID(task["id"]))

    assert task["state"] == "pending"
    assert waiting is not None
    assert waiting.due_at is not None
    assert waiting.due_at <= clock.now()
    assert (vain, relayed, broker.announced) == ([0, 0, 0], 1, [UUID(task["id"])])
    # An outage, in which it is tried each second, must not make the relay patient for hours.
    assert announced is not None
    assert announced.announcements == 1


async def test_messages_are_sent(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message names the task, as JSON; it is one for each announcement, also if several come at once."""
    sent: list[object] = []
    monkeypatch.setattr("keel.celery.broker.send", lambda _, task_id: sent.append(task_id))

    async def failed(_: object) -> None:
        pytest.fail("the broker is there")

    announcer = BrokerAnnouncer(WorkerSettings(), failed)
    ids = [UUID(int=number) for number in range(5)]
    for task_id in ids:
        announcer.announce(task_id)
        await asyncio.sleep(0)
    await announcer.drain()

    assert sent == ids


async def test_relay_is_patient(app: FastAPI) -> None:
    """What it has announced it announces again only after a while, and each time a longer one."""
    task_id = await given(app, None, due_at=clock.now())
    broker = Silence()
    relay = Relay(services_of(app).database, broker)
    for announcements in (1, 2):
        begun = clock.now()
        await relay.run()
        await relay.run()
        task = await stored(app, task_id)
        assert task is not None
        assert task.due_at is not None
        assert task.due_at - begun > timedelta(seconds=55 * announcements)
        async with services_of(app).database.transaction() as session:
            await session.execute(update(Task).values(due_at=clock.now()))

    assert broker.announced == [task_id] * 2


def test_celery_is_set_up_safely(environment: None) -> None:
    """JSON alone; late acknowledgement; one at a time; limits; quorum queue and confirms on RabbitMQ."""
    conf = make_celery(WorkerSettings(broker_url=SecretStr(AWAY))).conf

    assert conf.accept_content == ["application/json"]
    assert (conf.task_acks_late, conf.task_reject_on_worker_lost, conf.worker_prefetch_multiplier) == (True, True, 1)
    assert 300 < conf.task_soft_time_limit < conf.task_time_limit == 330
    assert not conf.worker_enable_remote_control
    assert conf.task_queues[0].queue_arguments["x-queue-type"] == "quorum"
    assert conf.broker_transport_options["confirm_publish"]


def test_messages_come_again_only_when_nobody_can_be_at_work(environment: None) -> None:
    """On Redis, a message that nobody acknowledges is given to another after more than a task may take."""
    conf = make_celery(WorkerSettings(broker_url=SecretStr("redis://localhost/1"), queue="mine")).conf

    assert conf.broker_transport_options["visibility_timeout"] > conf.task_time_limit
    assert conf.broker_transport_options["global_keyprefix"] == "mine:"


def test_message_that_redis_did_not_hear_of() -> None:
    """It does not count as one that is still being worked at, which would keep the worker from the next for ever."""

    @contextmanager
    def away(_: object = None) -> Generator[None]:
        raise ConnectionError
        yield

    for settle in (QoS.ack, QoS.reject):
        qos: Any = QoS(SimpleNamespace(conn_or_acquire=away, do_restore=False), prefetch_count=1)
        qos._delivered["tag"] = "message"
        assert not qos.can_consume()
        with pytest.raises(ConnectionError):
            settle(qos, "tag")
        assert qos.can_consume()


def test_messages_that_mean_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong with one, Celery is told in the one way that makes it drop the message and go on."""

    def take(message: str) -> str:
        return {"good": "taken"}[message]

    monkeypatch.setattr(strategy, "default", lambda *_: take)
    careful = strategy.strategy(None, None, None)

    assert careful("good") == "taken"
    with pytest.raises(InvalidTaskError, match="bad"):
        careful("bad")
