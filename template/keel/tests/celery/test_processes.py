"""Worker and beat, as far as they can be tried within the tests' own process."""

import asyncio
import os
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from celery.app.utils import find_app
from fastapi import FastAPI
from sqlalchemy import select, update

import keel.celery
from app.main import create_app
from keel import clock
from keel.celery import alive, leases
from keel.celery.beat import LeasedScheduler, UnknownJob
from keel.celery.celery import celery_app, perform, runtime
from keel.celery.lifecycle import PURGES
from keel.celery.models import Lease, Task, UtcDatetime
from keel.celery.runtime import Runtime, RuntimeOfProcess
from keel.celery.schedule import Entry
from keel.celery.state import Worker
from keel.db.database import Session
from keel.services import services_of
from keel.testing.support import PATIENCE
from keel.tests.celery.support import Silence, given, notes_of_jobs, stored
from keel.tests.celery.test_execution import store_note
from keel.web.errors import Unavailable


@pytest.fixture
def process(running_app: FastAPI, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """Return the application as a worker process has it: in a thread of its own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield runtime.get()
    runtime.close()


def test_celery_finds_the_application() -> None:
    """By the package's name, as `celery -A keel.celery` looks for it, and by its own."""
    assert find_app("keel.celery") is celery_app is keel.celery.celery_app
    with pytest.raises(AttributeError):
        _ = keel.celery.no_such_thing


async def test_perform(app: FastAPI, process: Runtime) -> None:
    """Celery's plain function does a task with the application's own services."""
    task_id = await given(app, None)
    Worker.of(process.app).jobs.register("test", store_note)
    await asyncio.to_thread(perform, str(task_id))

    assert await notes_of_jobs(app) == 1
    assert await stored(app, task_id) is None


async def test_interrupted_process(process: Runtime) -> None:
    """What interrupts the wait for a task interrupts the task, and waits until it has ended: the loop is needed."""
    begun, ended = threading.Event(), list[str]()

    async def endless() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("here")

    def interrupted(*_: object) -> None:
        begun.wait()
        raise TimeoutError

    with pytest.MonkeyPatch.context() as patch, pytest.raises(TimeoutError):
        patch.setattr("concurrent.futures.Future.result", interrupted)
        process.run(endless())

    assert ended == ["here"]


def test_each_process_has_a_runtime_of_its_own(process: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a parent had open is not touched by its children, nor closed by them."""
    of_process = RuntimeOfProcess(lambda: process.app)
    assert runtime.get() is process
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 1)
        runtime.close()
        of_process.close()
    assert runtime.get() is process


def test_application_that_does_not_start(environment: None) -> None:
    """The process learns why, and no thread stays."""

    def broken() -> FastAPI:
        raise RuntimeError("no database")

    with pytest.raises(RuntimeError, match="no database"):
        Runtime(broken)


@pytest.fixture
def beats(process: Runtime, monkeypatch: pytest.MonkeyPatch) -> list[LeasedScheduler]:
    """Return two schedulers, as of two processes; their only entry has its moment when a year begins."""
    worker = Worker.of(process.app)
    monkeypatch.setattr(worker.jobs, "announcer", Silence())
    monkeypatch.setitem(worker.schedule.entries, "purges", Entry(PURGES, "0 0 1 1 *"))
    # Neither dies because the machine is busy.
    monkeypatch.setattr("keel.celery.beat.LEASE", PATIENCE)
    return [LeasedScheduler(celery_app) for _ in range(2)]


async def last_asked(app: FastAPI) -> None:
    """Make it look as if purges had last been asked for long ago."""
    async with services_of(app).database.transaction() as session:
        await session.merge(UtcDatetime(name="purges", last_at=clock.now() - timedelta(days=400)))


async def asked_for(app: FastAPI) -> list[str]:
    """Return the names of the tasks that there are."""
    async with services_of(app).database.transaction() as session:
        return list((await session.scalars(select(Task.name))).all())


async def tick(*beats: LeasedScheduler) -> None:
    """Let each beat look once, and once again at what comes after."""
    for beat in (*beats, *beats):
        await asyncio.to_thread(beat.tick)


async def test_one_beat_is_at_work(app: FastAPI, beats: list[LeasedScheduler]) -> None:
    """Of those that look, one stores what the schedule says, once for a moment."""
    await last_asked(app)
    await tick(*beats)

    assert await asked_for(app) == [PURGES]
    async with services_of(app).database.transaction() as session:
        assert len((await session.scalars(select(Lease))).all()) == 1


async def test_new_entry(app: FastAPI, beats: list[LeasedScheduler]) -> None:
    """It waits for its moment, also if beat is started again and again until then."""
    await tick(beats[0])
    async with services_of(app).database.transaction() as session:
        (moment,) = (await session.scalars(select(UtcDatetime))).all()

    assert await asked_for(app) == []
    assert moment.name == "purges"
    assert clock.now() - moment.last_at < timedelta(seconds=PATIENCE)


async def test_the_other_takes_over(app: FastAPI, beats: list[LeasedScheduler]) -> None:
    """It asks for nothing that was asked for while it stood by."""
    first, second = beats
    await last_asked(app)
    await tick(second)
    await asyncio.to_thread(leases_end)
    await tick(first)
    await asyncio.to_thread(leases_end)
    await tick(second)

    assert await asked_for(app) == [PURGES]


def leases_end() -> None:
    """Let whoever has a role lose it, as if nothing had been heard of them."""

    async def end() -> None:
        async with services_of(runtime.get().app).database.transaction() as session:
            await session.execute(update(Lease).values(expires_at=clock.now()))

    runtime.get().run(end())


async def test_roles_are_free_at_once(app: FastAPI, beats: list[LeasedScheduler]) -> None:
    """Nobody waits for the lease of a beat that stops to end."""
    first, second = beats
    await tick(first)
    database = services_of(app).database
    assert not await leases.acquire(database, leases.BEAT, "third", 0)
    await asyncio.to_thread(first.close)

    assert await leases.acquire(database, leases.BEAT, "third", 0)
    assert await leases.acquire(database, leases.BEAT, "fourth", 10)
    await asyncio.to_thread(second.close)


async def test_a_moment_is_not_lost(
    app: FastAPI, beats: list[LeasedScheduler], process: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be stored is asked for again."""

    async def away(*_: object) -> None:
        raise Unavailable("away")

    await last_asked(app)
    with monkeypatch.context() as patch:
        patch.setattr(Worker.of(process.app).jobs, "add", away)
        await tick(beats[0])
    assert await asked_for(app) == []
    await tick(beats[0])

    assert await asked_for(app) == [PURGES]


async def test_schedule_that_names_no_job(process: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beat does not start: nobody would notice otherwise before the day when it is missed."""
    Worker.of(process.app).schedule.add("wrong", "misspelt", "* * * * *")

    with pytest.raises(UnknownJob, match="wrong: there is no job of the name 'misspelt'"):
        await asyncio.to_thread(LeasedScheduler, celery_app)


async def test_beat_survives_the_database(beats: list[LeasedScheduler], monkeypatch: pytest.MonkeyPatch) -> None:
    """It tries again with its next tick."""

    async def away(*_: object) -> bool:
        raise ConnectionError

    monkeypatch.setattr(leases, "acquire", away)

    assert await asyncio.to_thread(beats[0].tick) == 1.0


async def test_purges_are_a_task(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever packages have registered is purged, and finished tasks are."""
    purged: list[Session] = []

    async def purge(session: Session) -> int:
        purged.append(session)
        return 1

    monkeypatch.setitem(services_of(app).retention._purges, "test", purge)
    task_id = await given(app, None, name=PURGES)
    old = await given(app, None, state="failed", finished_at=clock.now() - timedelta(days=8))
    await Worker.of(app).executor.run(task_id)

    assert len(purged) == 1
    assert [await stored(app, one) for one in (task_id, old)] == [None, None]


def test_signs_of_life(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor sees whether a process got on lately."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = alive.is_alive()
    alive.show()

    assert (before, alive.is_alive()) == (False, True)


def test_nobody_has_to_load_celery(environment: None) -> None:
    """Building the application is no reason to."""
    names: Mapping[str, Any] = vars(keel.celery)

    assert "celery_app" not in names
    assert services_of(create_app()).jobs is not None
