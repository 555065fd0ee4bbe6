"""Doing tasks: once, again when it fails, and by somebody else when a process dies."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import delete

from app.main import create_app
from keel import clock
from keel.celery import execution
from keel.celery.models import Task
from keel.celery.relay import Relay
from keel.celery.state import Worker
from keel.celery.states import State
from keel.db.database import Session
from keel.services import services_of
from keel.testing.support import PATIENCE, running
from keel.tests.celery.support import Silence, add_note, given, notes_of_jobs, stored


async def store_note(session: Session, payload: Mapping[str, Any]) -> None:
    """Do something that can be counted."""
    await add_note(session, f"Job {payload['number']}")


async def fail(session: Session, payload: Mapping[str, Any]) -> None:
    """Do half of it."""
    await add_note(session, "half")
    raise ConnectionError("away")


async def test_message_that_comes_twice(app: FastAPI) -> None:
    """The job has its effect once; it leaves no row behind."""
    task_id = await given(app, store_note)
    for _ in range(2):
        await Worker.of(app).executor.run(task_id)

    assert await notes_of_jobs(app) == 1
    assert await stored(app, task_id) is None


async def test_messages_at_the_same_time(app: FastAPI) -> None:
    """Of several processes that hear of a job, one does it."""
    task_id = await given(app, store_note)
    await asyncio.gather(*(Worker.of(app).executor.run(task_id) for _ in range(5)))

    assert await notes_of_jobs(app) == 1


async def test_job_that_fails(app: FastAPI) -> None:
    """Nothing of the attempt stays; after its attempts the job waits for an operator, with the reason."""
    task_id = await given(app, fail)
    executor = Worker.of(app).executor
    pauses = [await executor.run(task_id) for _ in range(6)]
    task = await stored(app, task_id)

    assert pauses == [0, 0, 0, 0, None, None]
    assert await notes_of_jobs(app) == 0
    assert task is not None
    assert (task.state, task.attempt, task.due_at) == (State.FAILED, 5, None)
    assert task.reason == "ConnectionError('away')"


async def test_pauses_grow(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """They double, vary, and have a limit."""
    monkeypatch.setenv("WORKER_BACKOFF", "10")
    monkeypatch.setenv("WORKER_BACKOFF_MAX", "35")
    other = create_app()
    services_of(other).database = services_of(app).database
    task_id = await given(other, fail)
    pauses = [await Worker.of(other).executor.run(task_id) for _ in range(4)]

    for pause, most in zip(pauses, (10, 20, 35, 35), strict=True):
        assert pause is not None
        assert most / 2 <= pause <= most


async def test_job_of_a_name_that_nobody_knows(app: FastAPI) -> None:
    """It waits for an operator, as after an update that went back."""
    task_id = await given(app, None)
    for _ in range(5):
        await Worker.of(app).executor.run(task_id)
    task = await stored(app, task_id)

    assert task is not None
    assert task.state == State.FAILED
    assert "nothing does tasks" in (task.reason or "")


async def test_process_that_died(app: FastAPI, silence: Silence) -> None:
    """Another one takes its task, once it has given no sign of life for too long, and not before."""
    ago = clock.now() - timedelta(seconds=1)
    alive = clock.now() + timedelta(seconds=60)
    dead = await given(app, store_note, state=State.RUNNING, attempt=1, due_at=ago)
    working = await given(app, store_note, state=State.RUNNING, attempt=1, due_at=alive)
    await Relay(services_of(app).database, silence).run()
    for task_id in (dead, working):
        await Worker.of(app).executor.run(task_id)

    assert silence.announced == [dead]
    assert await notes_of_jobs(app) == 1
    assert await stored(app, dead) is None


async def test_process_that_was_only_slow(app: FastAPI) -> None:
    """What it was about to store is rolled back: its task has been given to another."""
    worker = Worker.of(app)

    async def slow(session: Session, payload: Mapping[str, Any]) -> None:
        worker.jobs.register("test", store_note)
        await make_it_look_dead(app, task_id)
        await worker.executor.run(task_id)
        await store_note(session, payload)

    task_id = await given(app, slow)
    await worker.executor.run(task_id)

    assert await notes_of_jobs(app) == 1


async def make_it_look_dead(app: FastAPI, task_id: Any) -> None:
    """End a task's lease."""
    async with services_of(app).database.transaction() as session:
        from sqlalchemy import update

        from keel.celery.models import Task

        await session.execute(update(Task).where(Task.id == task_id).values(due_at=clock.now()))


async def test_task_that_kills_every_process(app: FastAPI) -> None:
    """It is given up as well, though no process lived to say so."""
    ago = clock.now() - timedelta(seconds=1)
    task_id = await given(app, store_note, state=State.RUNNING, attempt=5, due_at=ago)
    await Worker.of(app).executor.run(task_id)
    task = await stored(app, task_id)

    assert await notes_of_jobs(app) == 0
    assert task is not None
    assert (task.state, task.reason) == (State.FAILED, execution.TRIED_IN_VAIN)


async def test_task_that_is_taken_away(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if it never looks, it is interrupted with the next sign of life."""
    executor = Worker.of(app).executor
    monkeypatch.setattr(executor, "_settings", executor._settings.model_copy(update={"lease": 0.1}))
    began = asyncio.Event()

    async def endless(_: Session, __: Mapping[str, Any]) -> None:
        began.set()
        await asyncio.Event().wait()

    task_id = await given(app, endless, owner_id="somebody")
    executing = asyncio.create_task(executor.run(task_id))
    await began.wait()
    async with services_of(app).database.transaction() as session:
        await session.execute(delete(Task).where(Task.owner_id == "somebody"))

    async with asyncio.timeout(PATIENCE):
        assert await executing is None


async def test_task_that_takes_too_long(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is interrupted, and that attempt has failed."""
    monkeypatch.setenv("WORKER_SOFT_LIMIT", "0.01")
    other = create_app()
    services_of(other).database = services_of(app).database

    async def endless(_: Session, __: Mapping[str, Any]) -> None:
        await asyncio.Event().wait()

    task_id = await given(other, endless)
    await Worker.of(other).executor.run(task_id)
    task = await stored(app, task_id)

    assert task is not None
    assert (task.state, task.reason) == (State.PENDING, "TimeoutError()")


async def test_process_that_stops(app: FastAPI) -> None:
    """A task that cannot be finished goes back at once, so that nobody waits for the lease to end."""
    began = asyncio.Event()

    async def endless(_: Session, __: Mapping[str, Any]) -> None:
        began.set()
        await asyncio.Event().wait()

    task_id = await given(app, endless)
    executing = asyncio.create_task(Worker.of(app).executor.run(task_id))
    await began.wait()
    executing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await executing
    task = await stored(app, task_id)

    assert task is not None
    assert task.state == State.PENDING
    assert task.due_at is not None
    assert task.due_at <= clock.now()


async def test_what_a_process_has_left_is_done_when_it_starts_again(app: FastAPI) -> None:
    """Without a broker there is no relay: the next process looks."""
    other = create_app()
    task_id = await given(app, None, due_at=clock.now(), name="core.mail", payload={})
    async with running(other):
        pass

    task = await stored(app, task_id)
    assert task is not None
    assert task.attempt > 0
