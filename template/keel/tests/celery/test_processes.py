"""Worker and beat, within the process of the tests."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery.app.utils import find_app
from fastapi import FastAPI
from sqlalchemy import select, update

from keel import clock
from keel.background.schedule import Entry
from keel.celery.broker.client import RUN_TASK
from keel.celery.models import Lease, ScheduleRun, Task
from keel.celery.plugin import RETENTION
from keel.celery.tasks import leases
from keel.celery.worker import app as worker_app
from keel.celery.worker import heartbeat
from keel.celery.worker.app import WorkerApp
from keel.celery.worker.beat import LeasedScheduler, UnknownJob
from keel.celery.worker.runtime import ProcessRuntime, Runtime
from keel.db.database import Session
from keel.services import services_of
from keel.testing.support import PATIENCE
from keel.tests.application import create_app
from keel.tests.celery.support import RecordingPublisher, add_task, count_widgets, stored
from keel.tests.celery.test_executor import store_widget
from keel.web.errors import Unavailable

ROOT = Path(__file__).parents[3]


@pytest.fixture
def worker(running_app: FastAPI) -> WorkerApp:
    """Return Celery's application, as created by `python -m app celery`."""
    return WorkerApp(create_app)


@pytest.fixture
def process(worker: WorkerApp, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """Return the application in its worker process: a thread with an event loop."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield worker.runtime.get()
    worker.runtime.close()


def test_celery_finds_the_application_of_a_module(
    environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`celery -A books_tasks` works with the module documented in `keel.celery.worker.app`."""
    lines = [line.strip() for line in (worker_app.__doc__ or "").splitlines() if line.startswith("    ")]
    (tmp_path / "books_tasks.py").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert isinstance(find_app("books_tasks"), WorkerApp)


async def test_run_task(app: FastAPI, worker: WorkerApp, process: Runtime) -> None:
    """Celery's synchronous function runs a task with the application's services."""
    task_id = await add_task(app, None)
    services_of(process.app).celery.jobs.register("test", store_widget)
    await asyncio.to_thread(worker.tasks[RUN_TASK], str(task_id))

    assert await count_widgets(app) == 1
    assert await stored(app, task_id) is None


async def test_interrupted_wait_cancels_the_coroutine(process: Runtime) -> None:
    """It waits until the coroutine has ended, because that occupies the event loop until then."""
    begun, ended = threading.Event(), list[str]()

    async def endless() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("endless")

    def interrupted(*_: object) -> None:
        begun.wait()
        raise TimeoutError

    with pytest.MonkeyPatch.context() as patch, pytest.raises(TimeoutError):
        patch.setattr("concurrent.futures.Future.result", interrupted)
        process.run(endless())

    assert ended == ["endless"]


def test_each_process_has_its_own_runtime(worker: WorkerApp, process: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child neither uses nor closes its parent's."""
    of_process = ProcessRuntime(lambda: process.app)
    assert worker.runtime.get() is process
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 1)
        worker.runtime.close()
        of_process.close()
    assert worker.runtime.get() is process


def test_failed_start_is_raised(environment: None) -> None:
    """The thread ends."""

    def broken() -> FastAPI:
        raise RuntimeError("no database")

    with pytest.raises(RuntimeError, match="no database"):
        Runtime(broken)


@pytest.fixture
def beats(worker: WorkerApp, process: Runtime, monkeypatch: pytest.MonkeyPatch) -> list[LeasedScheduler]:
    """Return two schedulers, as in two processes; their only entry runs at the start of each year."""
    celery = services_of(process.app).celery
    monkeypatch.setattr(celery.jobs, "publisher", RecordingPublisher())
    entries = {"retention": Entry(RETENTION, "0 0 1 1 *")}
    monkeypatch.setattr(services_of(process.app).schedule, "entries", entries)
    # No lease expires because the machine is busy.
    monkeypatch.setattr("keel.celery.worker.beat.LEASE", PATIENCE)
    return [LeasedScheduler(worker) for _ in range(2)]


async def set_last_run(app: FastAPI) -> None:
    """Set the entry's last run to more than a year ago."""
    async with services_of(app).database.transaction() as session:
        await session.merge(ScheduleRun(name="retention", last_run_at=clock.now() - timedelta(days=400)))


async def enqueued(app: FastAPI) -> list[str]:
    """Return the names of the stored tasks."""
    async with services_of(app).database.transaction() as session:
        return list((await session.scalars(select(Task.name))).all())


async def tick(*beats: LeasedScheduler) -> None:
    """Let each beat tick twice: once to enqueue, once to check that nothing is enqueued twice."""
    for beat in (*beats, *beats):
        await asyncio.to_thread(beat.tick)


async def test_one_of_two_beats_is_active(app: FastAPI, beats: list[LeasedScheduler]) -> None:
    """An entry is enqueued once per scheduled time."""
    await set_last_run(app)
    await tick(*beats)

    assert await enqueued(app) == [RETENTION]
    async with services_of(app).database.transaction() as session:
        assert len((await session.scalars(select(Lease))).all()) == 1


async def test_new_entry_waits_for_its_next_time(app: FastAPI, beats: list[LeasedScheduler]) -> None:
    """Its last run is stored, so restarts of beat do not postpone it."""
    await tick(beats[0])
    async with services_of(app).database.transaction() as session:
        (run,) = (await session.scalars(select(ScheduleRun))).all()

    assert await enqueued(app) == []
    assert run.name == "retention"
    assert clock.now() - run.last_run_at < timedelta(seconds=PATIENCE)


async def test_standby_beat_takes_over(app: FastAPI, beats: list[LeasedScheduler]) -> None:
    """It enqueues nothing that the other one already has."""
    first, second = beats
    await set_last_run(app)
    await tick(second)
    await expire_leases(app)
    await tick(first)
    await expire_leases(app)
    await tick(second)

    assert await enqueued(app) == [RETENTION]


async def expire_leases(app: FastAPI) -> None:
    """Expire the lease of the active beat."""
    async with services_of(app).database.transaction() as session:
        await session.execute(update(Lease).values(expires_at=clock.now()))


async def test_stopping_beat_releases_its_lease(app: FastAPI, beats: list[LeasedScheduler]) -> None:
    """The other beat need not wait until it expires."""
    first, second = beats
    await tick(first)
    database = services_of(app).database
    assert not await leases.acquire(database, leases.BEAT, "third", 0)
    await asyncio.to_thread(first.close)

    assert await leases.acquire(database, leases.BEAT, "third", 0)
    assert await leases.acquire(database, leases.BEAT, "fourth", 10)
    await asyncio.to_thread(second.close)


async def test_failed_enqueue_is_retried(
    app: FastAPI, beats: list[LeasedScheduler], process: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the task could not be stored, the next tick tries again."""

    async def unavailable(*_: object) -> None:
        raise Unavailable("down")

    await set_last_run(app)
    with monkeypatch.context() as patch:
        patch.setattr(services_of(process.app).celery.jobs, "add", unavailable)
        await tick(beats[0])
    assert await enqueued(app) == []
    await tick(beats[0])

    assert await enqueued(app) == [RETENTION]


async def test_unknown_job_in_the_schedule_is_refused(worker: WorkerApp, process: Runtime) -> None:
    """Beat does not start."""
    services_of(process.app).schedule.add("wrong", "misspelt", "* * * * *")

    with pytest.raises(UnknownJob, match="wrong: no job named 'misspelt' is registered"):
        await asyncio.to_thread(LeasedScheduler, worker)


async def test_beat_survives_an_outage_of_the_database(
    beats: list[LeasedScheduler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next tick tries again."""

    async def unavailable(*_: object) -> bool:
        raise ConnectionError

    monkeypatch.setattr(leases, "acquire", unavailable)

    assert await asyncio.to_thread(beats[0].tick) == 1.0


async def test_retention_task(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs all registered purges; that of tasks deletes old finished ones."""
    purged: list[Session] = []

    async def purge(session: Session) -> int:
        purged.append(session)
        return 1

    monkeypatch.setitem(services_of(app).retention._purges, "test", purge)
    task_id = await add_task(app, None, name=RETENTION)
    old = await add_task(app, None, state="failed", finished_at=clock.now() - timedelta(days=8))
    await services_of(app).celery.executor.run(task_id)

    assert len(purged) == 1
    assert [await stored(app, one) for one in (task_id, old)] == [None, None]


def test_heartbeat(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process is alive while its heartbeat file is fresh."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = heartbeat.is_alive()
    heartbeat.touch()

    assert (before, heartbeat.is_alive()) == (False, True)


def test_building_the_application_does_not_import_celery(environment: None) -> None:
    """A server that publishes no task saves memory and start-up time."""
    code = "import sys; from app.main import create_app; create_app(); sys.exit('celery' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0  # noqa: S603 - our own words
