"""Real workers and real brokers, killed, restarted and stopped; jobs store widgets, which are counted."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
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
from sqlalchemy import select

from keel import clock
from keel.celery.broker.client import RUN_TASK, CeleryApp, send
from keel.celery.broker.publisher import BrokerPublisher
from keel.celery.enums import TaskState
from keel.celery.models import Lease, ScheduleRun, Task
from keel.celery.settings import CelerySettings
from keel.celery.tasks import jobs
from keel.celery.tasks.executor import PROCESS_DIED
from keel.celery.tasks.relay import make_due
from keel.db.database import AnyRow
from keel.services import services_of
from keel.tests.celery.brokers import Broker, RabbitMQ, Valkey
from keel.tests.celery.program import JOURNAL, handle
from keel.tests.celery.support import TASKS, export, finished
from keel.tests.widgets.api import create
from keel.tests.widgets.models import Widget

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[3]
PATIENCE = 90
BOTH = pytest.mark.parametrize("kind", [Valkey, RabbitMQ])
ONE = pytest.mark.parametrize("kind", [Valkey])


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[type[Broker]], Broker]]:
    """Return a function that starts a broker, which then runs for all tests."""
    running: dict[type[Broker], Broker] = {}
    with ExitStack() as stack:

        def get(kind: type[Broker]) -> Broker:
            if kind not in running:
                broker = kind(tmp_path_factory.mktemp(kind.__name__))
                stack.callback(broker.close)
                broker.start()
                running[kind] = broker
            return running[kind]

        yield get


@pytest.fixture
def broker(kind: type[Broker], brokers: Callable[[type[Broker]], Broker]) -> Broker:
    """Return a running broker."""
    return brokers(kind)


class Processes:
    """Processes of this project, and what they log."""

    def __init__(self, folder: Path) -> None:
        self._journal = folder / "journal"
        self._log = folder / "log"
        self._environment = {JOURNAL: str(self._journal), "TMPDIR": str(folder), "LOG_LEVEL": "INFO"}
        self._processes: list[subprocess.Popen[bytes]] = []

    async def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a worker or beat, and wait until it is ready."""
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
        """Send SIGTERM; return the exit status."""
        process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(process.wait, PATIENCE)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a process with all its children."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill_all(self) -> None:
        """Kill all processes."""
        for process in self._processes:
            self.kill(process)

    @property
    def log(self) -> str:
        """Return the log lines of all processes."""
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    def logged(self, word: str) -> list[list[str]]:
        """Return the lines of the journal that begin with a word."""
        lines = self._journal.read_text(encoding="utf-8").splitlines() if self._journal.exists() else []
        return [line.split()[1:] for line in lines if line.startswith(word)]


@pytest.fixture
def processes(app: FastAPI, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    """Return processes that use the broker."""
    monkeypatch.setenv("CELERY_BROKER_URL", broker.url)
    monkeypatch.setenv("CELERY_QUEUE", tmp_path.name)
    monkeypatch.setenv("CELERY_LEASE", "3")
    monkeypatch.setenv("CELERY_MAX_ATTEMPTS", "20")
    processes = Processes(tmp_path)
    yield processes
    processes.kill_all()


@pytest.fixture
async def publisher(
    app: FastAPI, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[BrokerPublisher]:
    """Publish tasks as a server does, with a shorter relay interval."""
    celery = services_of(app).celery

    async def on_failure(task_ids: Sequence[UUID]) -> None:
        await make_due(services_of(app).database, task_ids)

    publisher = BrokerPublisher(CelerySettings.load(), on_failure)
    celery.jobs.register("test", handle)
    monkeypatch.setattr(celery.jobs, "publisher", publisher)
    monkeypatch.setattr(jobs, "RELAY_DELAY", timedelta(seconds=3))
    yield publisher
    await publisher.drain()


async def until(holds: Callable[[], bool], processes: Processes) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, processes.log
        await asyncio.sleep(0.05)


async def enqueue(app: FastAPI, *titles: str, seconds: float = 0.3, **payload: Any) -> None:
    """Enqueue jobs, each in its own transaction."""
    for title in titles:
        async with services_of(app).database.transaction() as session:
            await services_of(app).jobs.enqueue(session, "test", {"title": title, "seconds": seconds, **payload})


async def titles_of_widgets(app: FastAPI, processes: Processes) -> list[str]:
    """Return the titles of the jobs' widgets, once all jobs are done."""
    deadline = time.monotonic() + PATIENCE
    unfinished = select(Task.id).where(Task.owner_id.is_(None))
    while await services_of(app).database.read.all(unfinished):
        assert time.monotonic() < deadline, processes.log
        await asyncio.sleep(0.05)
    rows = await services_of(app).database.read.all(select(Widget.title).where(Widget.owner_id == "job"))
    return sorted(row.title for row in rows)


def names(count: int) -> list[str]:
    """Return titles in order."""
    return [f"Job {number:02}" for number in range(count)]


@BOTH
async def test_killed_workers_lose_nothing(app: FastAPI, publisher: BrokerPublisher, processes: Processes) -> None:
    """A process of a worker is killed, then the whole worker; each job is done once."""
    first = await processes.start()
    await processes.start("beat")
    await enqueue(app, *names(8))
    await until(lambda: len(processes.logged("begun")) >= 2, processes)
    os.kill(int(processes.logged("begun")[0][0]), signal.SIGKILL)
    titles = names(8)
    # Jobs until the process that replaces it has run one, however long that takes.
    async with asyncio.timeout(PATIENCE):
        while len({process for process, _ in processes.logged("begun")}) < 3:
            titles = names(len(titles) + 1)
            await enqueue(app, titles[-1])
            await asyncio.sleep(0.1)
    processes.kill(first)
    await processes.start()

    assert await titles_of_widgets(app, processes) == sorted(titles)
    assert len(processes.logged("begun")) > len(titles)


@BOTH
async def test_restarted_broker_loses_nothing(
    app: FastAPI, client: AsyncClient, publisher: BrokerPublisher, broker: Broker, processes: Processes
) -> None:
    """Requests do not wait for the broker; jobs enqueued before, during and after the restart are done."""
    await create(client, title="Mine")
    await processes.start()
    await processes.start("beat")
    await enqueue(app, *names(6))
    await until(lambda: len(processes.logged("begun")) >= 1, processes)
    await asyncio.to_thread(broker.kill)
    started = time.monotonic()
    task = await export(client, format="csv")
    await enqueue(app, *(f"Meanwhile {name}" for name in names(3)))
    took = time.monotonic() - started
    # Running tasks end without being acknowledged.
    await asyncio.sleep(1)
    await asyncio.to_thread(broker.start)
    await enqueue(app, "Afterwards")

    assert task["state"] == "pending"
    assert took < 2
    assert await titles_of_widgets(app, processes) == sorted(
        ["Afterwards", *names(6), *(f"Meanwhile {name}" for name in names(3))]
    )
    # The worker has stored the result; this process serves it.
    assert (await finished(client, task["id"], PATIENCE))["state"] == "succeeded"
    assert "Mine" in (await client.get(f"{TASKS}/{task['id']}/result")).text


@BOTH
async def test_duplicate_messages_have_no_effect(
    app: FastAPI, publisher: BrokerPublisher, processes: Processes
) -> None:
    """Duplicates arrive before, during and after the run."""
    await enqueue(app, *names(3), seconds=1)
    await publisher.drain()
    ids = [row.id for row in await services_of(app).database.read.all(select(Task.id))]
    await publisher.publish_now(ids * 3)
    await processes.start("--concurrency", "3")
    await until(lambda: len(processes.logged("begun")) >= 1, processes)
    await publisher.publish_now(ids * 3)
    assert await titles_of_widgets(app, processes) == names(3)
    await publisher.publish_now(ids * 3)
    await until(lambda: processes.log.count("task_already_claimed") >= 24, processes)

    assert await titles_of_widgets(app, processes) == names(3)
    assert len(processes.logged("begun")) == 3


@BOTH
async def test_malformed_messages_are_dropped(app: FastAPI, publisher: BrokerPublisher, processes: Processes) -> None:
    """The worker drops them and continues."""
    worker = await processes.start()
    celery = CeleryApp(CelerySettings.load())
    headers = {"lang": "py", "task": RUN_TASK, "id": "poison", "root_id": "poison", "argsrepr": "", "kwargsrepr": ""}
    known = {"content_type": "application/json", "content_encoding": "utf-8"}
    unknown = {"content_type": "application/x-python-serialize", "content_encoding": "binary"}
    body = json.dumps([["no id"], {}, {}])
    with celery.connection_for_write() as connection:
        producer = queue_of(celery, connection)
        for text, message_headers, content in [
            (b"\xff not JSON", headers, known),
            ("[]", headers, known),
            (body, headers, known),
            (body, {**headers, "task": "no.such.task"}, known),
            (body, {}, known),
            ("{}", {}, known),
            (b"\x80\x04N.", headers, unknown),
        ]:
            producer.publish(text, headers=message_headers, **content)
    await enqueue(app, *names(2), seconds=0)

    assert await titles_of_widgets(app, processes) == names(2)
    assert worker.poll() is None
    assert await processes.stop(worker) == 0, processes.log


def queue_of(celery: Celery, connection: Connection) -> Producer:
    """Return a producer that publishes arbitrary messages to the workers' queue."""
    (queue,) = celery.conf.task_queues
    bound = queue(connection.default_channel)
    bound.declare()
    exchange: Exchange = queue.exchange
    return Producer(connection.default_channel, exchange=exchange, routing_key=bound.routing_key)


@BOTH
async def test_stopped_worker_finishes_its_tasks(
    app: FastAPI, publisher: BrokerPublisher, processes: Processes, tmp_path: Path
) -> None:
    """It starts no more, leaves the lifespan and exits with 0; another worker runs the rest.

    Each process has one event loop and one lifespan for all its tasks.
    """
    first = await processes.start()
    gate = tmp_path / "gate"
    await enqueue(app, *names(6), seconds=1, gate=str(gate))
    await until(lambda: len(processes.logged("begun")) == 2, processes)
    first.send_signal(signal.SIGTERM)
    await until(lambda: "Warm shutdown" in processes.log, processes)
    gate.touch()
    status = await asyncio.to_thread(first.wait, PATIENCE)
    rows = await services_of(app).database.read.all(select(Widget.title).where(Widget.owner_id == "job"))

    assert status == 0
    assert len(rows) == len(processes.logged("begun")) == 2
    assert sorted(processes.logged("opened")) == sorted(processes.logged("closed"))
    assert {process for process, _ in processes.logged("begun")} <= {
        process for (process,) in processes.logged("closed")
    }
    await processes.start()
    assert await titles_of_widgets(app, processes) == names(6)
    assert len(processes.logged("begun")) == 6
    loops = {tuple(line) for line in processes.logged("begun")}
    assert len(loops) == len({process for process, _ in loops}) == len(processes.logged("opened")) == 4


@ONE
async def test_time_limits(
    app: FastAPI, publisher: BrokerPublisher, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow task is interrupted; the process of one that blocks the event loop is killed. Other tasks are done."""
    monkeypatch.setenv("CELERY_SOFT_TIME_LIMIT", "1")
    monkeypatch.setenv("CELERY_HARD_TIME_LIMIT", "2")
    monkeypatch.setenv("CELERY_MAX_ATTEMPTS", "2")
    monkeypatch.setenv("CELERY_RETRY_BACKOFF", "0")
    await processes.start()
    await processes.start("beat")
    async with services_of(app).database.transaction() as session:
        for title in ("slow", "stuck"):
            payload = {"title": title, "seconds": 60, "stuck": title == "stuck"}
            await services_of(app).jobs.enqueue(session, "test", payload)
    await enqueue(app, *names(2))

    failed = select(Task.payload, Task.last_error, Task.attempt).where(Task.state == TaskState.FAILED)
    rows: Sequence[AnyRow] = []
    deadline = time.monotonic() + PATIENCE
    while len(rows) < 2:
        assert time.monotonic() < deadline, processes.log
        await asyncio.sleep(0.1)
        rows = await services_of(app).database.read.all(failed)
    reasons = {row.payload["title"]: row.last_error for row in rows}
    assert reasons == {"slow": "TimeoutError()", "stuck": PROCESS_DIED}
    done = await services_of(app).database.read.all(select(Widget.title).where(Widget.owner_id == "job"))
    assert sorted(row.title for row in done) == names(2)


@ONE
async def test_unsigned_messages_are_refused(
    app: FastAPI, publisher: BrokerPublisher, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a key, a message starts no task."""
    unsigned, ours = CeleryApp(CelerySettings.load()), SecretStr("k" * 40)
    await services_of(app).jobs.drain()
    monkeypatch.setenv("CELERY_SIGNING_KEYS", ours.get_secret_value())
    monkeypatch.setattr(publisher, "publish", lambda _: None)
    await enqueue(app, *names(1), seconds=0)
    (task,) = await services_of(app).database.read.all(select(Task.id))
    await processes.start()
    await asyncio.to_thread(send, unsigned, task.id)
    unsigned.close()
    await until(lambda: "Refusing to deserialize" in processes.log, processes)
    assert processes.logged("begun") == []
    publisher = BrokerPublisher(CelerySettings.load(), ignore)
    await publisher.publish_now([task.id])
    await publisher.drain()

    assert await titles_of_widgets(app, processes) == names(1)


async def ignore(_: Sequence[UUID]) -> None:
    """Ignore tasks that were not published."""


@ONE
async def test_standby_beat_takes_over(app: FastAPI, publisher: BrokerPublisher, processes: Processes) -> None:
    """A scheduled job runs once per scheduled time, even if the active beat is killed."""

    async def due() -> None:
        async with services_of(app).database.transaction() as session:
            await session.merge(ScheduleRun(name="test", last_run_at=clock.now() - timedelta(days=500)))

    await processes.start()
    await due()
    beats = [await processes.start("beat") for _ in range(2)]
    await until(lambda: len(processes.logged("begun")) == 1, processes)
    (lease,) = await services_of(app).database.read.all(select(Lease.holder))
    active = next(beat for beat in beats if f":{beat.pid}:" in lease.holder)
    processes.kill(active)
    await due()
    await until(lambda: len(processes.logged("begun")) == 2, processes)

    assert await titles_of_widgets(app, processes) == ["scheduled"] * 2
    (after,) = await services_of(app).database.read.all(select(Lease.holder))
    assert after.holder != lease.holder
