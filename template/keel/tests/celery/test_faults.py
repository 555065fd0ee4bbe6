"""Real workers on real brokers, which are killed, restarted, stopped and lied to: every effect is counted."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from celery import Celery
from fastapi import FastAPI
from httpx2 import AsyncClient
from kombu import Connection, Exchange, Producer
from pydantic import SecretStr
from sqlalchemy import Row, select

from app.examples.notes.models import Note
from keel import clock
from keel.celery import jobs
from keel.celery.announcing import BrokerAnnouncer
from keel.celery.broker import PERFORM, make_celery, send
from keel.celery.execution import TRIED_IN_VAIN
from keel.celery.models import Lease, Task, UtcDatetime
from keel.celery.relay import make_due
from keel.celery.settings import WorkerSettings
from keel.celery.state import Worker
from keel.celery.states import State
from keel.services import services_of
from keel.tests.celery.brokers import Broker, RabbitMQ, Valkey
from keel.tests.celery.program import JOURNAL, work
from keel.tests.celery.support import TASKS, export, finished

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[3]
PATIENCE = 90
BOTH = pytest.mark.parametrize("kind", [Valkey, RabbitMQ])
ONE = pytest.mark.parametrize("kind", [Valkey])


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[type[Broker]], Broker]]:
    """Return what starts a broker, which then runs for all tests."""
    running: dict[type[Broker], Broker] = {}

    def get(kind: type[Broker]) -> Broker:
        if kind not in running:
            broker = kind(tmp_path_factory.mktemp(kind.__name__))
            broker.start()
            running[kind] = broker
        return running[kind]

    yield get
    for broker in running.values():
        broker.close()


@pytest.fixture
def broker(kind: type[Broker], brokers: Callable[[type[Broker]], Broker]) -> Broker:
    """Return a running broker."""
    return brokers(kind)


class Crew:
    """Processes of this project, and what they say."""

    def __init__(self, folder: Path) -> None:
        self._journal = folder / "journal"
        self._log = folder / "log"
        self._environment = {JOURNAL: str(self._journal), "TMPDIR": str(folder), "LOG_LEVEL": "INFO"}
        self._processes: list[subprocess.Popen[bytes]] = []

    async def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a worker or beat, and wait until it is at work."""
        sign = "celery.beat" if "beat" in arguments else "ready."
        before = self.log.count(sign)
        with self._log.open("ab") as output:
            process = subprocess.Popen(  # noqa: ASYNC220, S603 - our own words
                [sys.executable, "-m", "keel.tests.celery.program", "celery", *arguments],
                cwd=ROOT,
                env={**os.environ, **self._environment},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._processes.append(process)
        await until(lambda: self.log.count(sign) > before or process.poll() is not None, self)
        assert process.poll() is None, self.log
        return process

    async def stop(self, process: subprocess.Popen[bytes]) -> int:
        """Ask a process to stop; return its status once it has."""
        process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(process.wait, PATIENCE)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a process with all its children."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def disband(self) -> None:
        """Kill them all."""
        for process in self._processes:
            self.kill(process)

    @property
    def log(self) -> str:
        """Return what was logged."""
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    def said(self, word: str) -> list[list[str]]:
        """Return the lines of the journal that begin with a word."""
        lines = self._journal.read_text(encoding="utf-8").splitlines() if self._journal.exists() else []
        return [line.split()[1:] for line in lines if line.startswith(word)]


@pytest.fixture
def crew(app: FastAPI, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crew]:
    """Return what runs processes on the broker."""
    monkeypatch.setenv("WORKER_BROKER_URL", broker.url)
    monkeypatch.setenv("WORKER_QUEUE", tmp_path.name)
    monkeypatch.setenv("WORKER_LEASE", "3")
    monkeypatch.setenv("WORKER_ATTEMPTS", "20")
    crew = Crew(tmp_path)
    yield crew
    crew.disband()


@pytest.fixture
async def announcer(app: FastAPI, crew: Crew, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BrokerAnnouncer]:
    """Announce tasks as a server does; what is announced and forgotten by the broker is missed soon."""
    worker = Worker.of(app)

    async def failed(task_ids: Sequence[UUID]) -> None:
        await make_due(services_of(app).database, task_ids)

    announcer = BrokerAnnouncer(WorkerSettings.load(), failed)
    worker.jobs.register("test", work)
    monkeypatch.setattr(worker.jobs, "announcer", announcer)
    monkeypatch.setattr(jobs, "UNHEARD", timedelta(seconds=3))
    yield announcer
    await announcer.drain()


async def until(holds: Callable[[], bool], crew: Crew) -> None:
    """Return when something holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, crew.log
        await asyncio.sleep(0.05)


async def enqueue(app: FastAPI, *titles: str, seconds: float = 0.3) -> None:
    """Ask for jobs, each in a transaction of its own."""
    for title in titles:
        async with services_of(app).database.transaction() as session:
            await services_of(app).jobs.enqueue(session, "test", {"title": title, "seconds": seconds})


async def effects(app: FastAPI, crew: Crew) -> list[str]:
    """Return what jobs have stored, once all are done."""
    deadline = time.monotonic() + PATIENCE
    unfinished = select(Task.id).where(Task.owner_id.is_(None))
    while await services_of(app).database.read.all(unfinished):
        assert time.monotonic() < deadline, crew.log
        await asyncio.sleep(0.05)
    rows = await services_of(app).database.read.all(select(Note.title).where(Note.owner_id == "job"))
    return sorted(row.title for row in rows)


def names(count: int) -> list[str]:
    """Return titles in their order."""
    return [f"Job {number:02}" for number in range(count)]


@BOTH
async def test_killed(app: FastAPI, announcer: BrokerAnnouncer, crew: Crew) -> None:
    """Of a worker, first one process is killed, then all at once: others do what they were doing and had not begun."""
    first = await crew.start()
    await crew.start("beat")
    await enqueue(app, *names(8))
    await until(lambda: len(crew.said("begun")) >= 2, crew)
    os.kill(int(crew.said("begun")[0][0]), signal.SIGKILL)
    titles = names(8)
    # There is something to do for the process that takes its place, however long that takes to come.
    async with asyncio.timeout(PATIENCE):
        while len({process for process, _ in crew.said("begun")}) < 3:
            titles = names(len(titles) + 1)
            await enqueue(app, titles[-1])
            await asyncio.sleep(0.1)
    crew.kill(first)
    await crew.start()

    assert await effects(app, crew) == sorted(titles)
    assert len(crew.said("begun")) > len(titles)


@BOTH
async def test_broker_that_is_restarted(
    app: FastAPI, client: AsyncClient, announcer: BrokerAnnouncer, broker: Broker, crew: Crew
) -> None:
    """Callers do not wait for it and are told the truth; what was asked for before, meanwhile and after is done."""
    await client.post("/api/v1/notes", json={"title": "Mine"})
    await crew.start()
    await crew.start("beat")
    await enqueue(app, *names(6))
    await until(lambda: len(crew.said("begun")) >= 1, crew)
    await asyncio.to_thread(broker.kill)
    started = time.monotonic()
    task = await export(client, format="csv")
    await enqueue(app, *(f"Meanwhile {name}" for name in names(3)))
    took = time.monotonic() - started
    # What was running has ended by now, and nobody could be told.
    await asyncio.sleep(1)
    await asyncio.to_thread(broker.start)
    await enqueue(app, "Afterwards")

    assert task["state"] == "pending"
    assert took < 2
    assert await effects(app, crew) == sorted(["Afterwards", *names(6), *(f"Meanwhile {name}" for name in names(3))])
    # Another process has made it; this one serves it.
    assert (await finished(client, task["id"], PATIENCE))["state"] == "succeeded"
    assert "Mine" in (await client.get(f"{TASKS}/{task['id']}/result")).text


@BOTH
async def test_message_that_comes_often(app: FastAPI, announcer: BrokerAnnouncer, crew: Crew) -> None:
    """Before, while and after the task is done: it has its effect once."""
    await enqueue(app, *names(3), seconds=1)
    await announcer.drain()
    ids = [row.id for row in await services_of(app).database.read.all(select(Task.id))]
    await announcer.deliver(ids * 3)
    await crew.start("--concurrency", "3")
    await until(lambda: len(crew.said("begun")) >= 1, crew)
    await announcer.deliver(ids * 3)
    assert await effects(app, crew) == names(3)
    await announcer.deliver(ids * 3)
    await until(lambda: crew.log.count("task_not_to_be_had") >= 24, crew)

    assert await effects(app, crew) == names(3)
    assert len(crew.said("begun")) == 3


@BOTH
async def test_poison(app: FastAPI, announcer: BrokerAnnouncer, crew: Crew) -> None:
    """Messages that mean nothing are dropped, whatever is wrong with them; the worker goes on."""
    worker = await crew.start()
    celery = make_celery(WorkerSettings.load())
    headers = {"lang": "py", "task": PERFORM, "id": "poison", "root_id": "poison", "argsrepr": "", "kwargsrepr": ""}
    known = {"content_type": "application/json", "content_encoding": "utf-8"}
    unknown = {"content_type": "application/x-python-serialize", "content_encoding": "binary"}
    body = json.dumps([["no id"], {}, {}])
    with celery.connection_for_write() as connection:
        producer = queue_of(celery, connection)
        for text, told, form in [
            (b"\xff not JSON", headers, known),
            ("[]", headers, known),
            (body, headers, known),
            (body, {**headers, "task": "no.such.task"}, known),
            (body, {}, known),
            ("{}", {}, known),
            (b"\x80\x04N.", headers, unknown),
        ]:
            producer.publish(text, headers=told, **form)
    await enqueue(app, *names(2), seconds=0)

    assert await effects(app, crew) == names(2)
    assert worker.poll() is None
    assert await crew.stop(worker) == 0, crew.log


def queue_of(celery: Celery, connection: Connection) -> Producer:
    """Return what puts anything into the workers' queue."""
    (queue,) = celery.conf.task_queues
    bound = queue(connection.default_channel)
    bound.declare()
    exchange: Exchange = queue.exchange
    return Producer(connection.default_channel, exchange=exchange, routing_key=bound.routing_key)


@BOTH
async def test_worker_that_is_stopped(app: FastAPI, announcer: BrokerAnnouncer, crew: Crew) -> None:
    """It finishes what it has begun, begins nothing more, and leaves as it came; another one does the rest.

    Each process has one event loop for all its tasks, in which the application runs; processes share nothing.
    """
    first = await crew.start()
    await enqueue(app, *names(6), seconds=1)
    await until(lambda: len(crew.said("begun")) >= 2, crew)
    status = await crew.stop(first)
    rows = await services_of(app).database.read.all(select(Note.title).where(Note.owner_id == "job"))

    assert status == 0
    assert len(rows) == len(crew.said("begun")) == 2
    assert sorted(crew.said("opened")) == sorted(crew.said("closed"))
    assert {process for process, _ in crew.said("begun")} <= {process for (process,) in crew.said("closed")}
    await crew.start()
    assert await effects(app, crew) == names(6)
    assert len(crew.said("begun")) == 6
    loops = {tuple(line) for line in crew.said("begun")}
    assert len(loops) == len({process for process, _ in loops}) == len(crew.said("opened")) == 4


@ONE
async def test_time_limits(
    app: FastAPI, announcer: BrokerAnnouncer, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What takes too long is interrupted, what does not let go is killed; both are given up, and others are done."""
    monkeypatch.setenv("WORKER_SOFT_LIMIT", "1")
    monkeypatch.setenv("WORKER_HARD_LIMIT", "2")
    monkeypatch.setenv("WORKER_ATTEMPTS", "2")
    monkeypatch.setenv("WORKER_BACKOFF", "0")
    await crew.start()
    await crew.start("beat")
    async with services_of(app).database.transaction() as session:
        for title in ("slow", "stuck"):
            payload = {"title": title, "seconds": 60, "stuck": title == "stuck"}
            await services_of(app).jobs.enqueue(session, "test", payload)
    await enqueue(app, *names(2))

    failed = select(Task.payload, Task.reason, Task.attempt).where(Task.state == State.FAILED)
    rows: Sequence[Row[Any]] = []
    deadline = time.monotonic() + PATIENCE
    while len(rows) < 2:
        assert time.monotonic() < deadline, crew.log
        await asyncio.sleep(0.1)
        rows = await services_of(app).database.read.all(failed)
    reasons = {row.payload["title"]: row.reason for row in rows}
    assert reasons == {"slow": "TimeoutError()", "stuck": TRIED_IN_VAIN}
    done = await services_of(app).database.read.all(select(Note.title).where(Note.owner_id == "job"))
    assert sorted(row.title for row in done) == names(2)


@ONE
async def test_signed_messages(
    app: FastAPI, announcer: BrokerAnnouncer, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has no key begins nothing."""
    unsigned, ours = make_celery(WorkerSettings.load()), SecretStr("k" * 40)
    await services_of(app).jobs.drain()
    monkeypatch.setenv("WORKER_SIGNING_KEYS", ours.get_secret_value())
    monkeypatch.setattr(announcer, "announce", lambda _: None)
    await enqueue(app, *names(1), seconds=0)
    (task,) = await services_of(app).database.read.all(select(Task.id))
    await crew.start()
    await asyncio.to_thread(send, unsigned, task.id)
    unsigned.close()
    await until(lambda: "Refusing to deserialize" in crew.log, crew)
    assert crew.said("begun") == []
    announcer = BrokerAnnouncer(WorkerSettings.load(), nobody)
    await announcer.deliver([task.id])
    await announcer.drain()

    assert await effects(app, crew) == names(1)


async def nobody(_: Sequence[UUID]) -> None:
    """Care for what is not announced."""


@ONE
async def test_two_beats(app: FastAPI, announcer: BrokerAnnouncer, crew: Crew) -> None:
    """What is scheduled is done once, also when the one at work is killed and the other takes over."""

    async def due() -> None:
        async with services_of(app).database.transaction() as session:
            await session.merge(UtcDatetime(name="test", last_at=clock.now() - timedelta(days=500)))

    await crew.start()
    await due()
    beats = [await crew.start("beat") for _ in range(2)]
    await until(lambda: len(crew.said("begun")) == 1, crew)
    (lease,) = await services_of(app).database.read.all(select(Lease.holder))
    at_work = next(beat for beat in beats if f":{beat.pid}:" in lease.holder)
    crew.kill(at_work)
    await due()
    await until(lambda: len(crew.said("begun")) == 2, crew)

    assert await effects(app, crew) == ["scheduled"] * 2
    (after,) = await services_of(app).database.read.all(select(Lease.holder))
    assert after.holder != lease.holder
