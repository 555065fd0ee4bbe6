"""Running tasks: once, again after a failure, and in another process after a crash."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import delete, update

from keel import clock
from keel.celery.enums import TaskState
from keel.celery.models import Task
from keel.celery.tasks import executor as executor_module
from keel.celery.tasks.relay import Relay
from keel.db.database import Session
from keel.services import services_of
from keel.testing.support import PATIENCE, running
from keel.tests.application import create_app
from keel.tests.celery.support import RecordingPublisher, add_task, add_widget, count_widgets, stored


async def store_widget(session: Session, payload: Mapping[str, Any]) -> None:
    """Store a widget, which tests count."""
    await add_widget(session, f"Job {payload['number']}")


async def fail(session: Session, payload: Mapping[str, Any]) -> None:
    """Store a widget, then raise."""
    await add_widget(session, "half")
    raise ConnectionError("down")


async def test_duplicate_message_has_no_effect(app: FastAPI) -> None:
    """The job runs once, and its row is deleted."""
    task_id = await add_task(app, store_widget)
    for _ in range(2):
        await services_of(app).celery.executor.run(task_id)

    assert await count_widgets(app) == 1
    assert await stored(app, task_id) is None


async def test_concurrent_messages_run_a_job_once(app: FastAPI) -> None:
    """One process claims the task."""
    task_id = await add_task(app, store_widget)
    await asyncio.gather(*(services_of(app).celery.executor.run(task_id) for _ in range(5)))

    assert await count_widgets(app) == 1


async def test_failing_job_is_rolled_back_and_kept(app: FastAPI) -> None:
    """No attempt stores anything; after the last one the task has failed, and keeps the last error."""
    task_id = await add_task(app, fail)
    executor = services_of(app).celery.executor
    pauses = [await executor.run(task_id) for _ in range(6)]
    task = await stored(app, task_id)

    assert pauses == [0, 0, 0, 0, None, None]
    assert await count_widgets(app) == 0
    assert task is not None
    assert (task.state, task.attempt, task.due_at) == (TaskState.FAILED, 5, None)
    assert task.last_error == "ConnectionError('down')"


async def test_retry_backoff_doubles_up_to_its_maximum(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """The jitter is between half of it and all of it."""
    monkeypatch.setenv("CELERY_RETRY_BACKOFF", "10")
    monkeypatch.setenv("CELERY_RETRY_BACKOFF_MAX", "35")
    other = create_app()
    services_of(other).database = services_of(app).database
    task_id = await add_task(other, fail)
    pauses = [await services_of(other).celery.executor.run(task_id) for _ in range(4)]

    for pause, most in zip(pauses, (10, 20, 35, 35), strict=True):
        assert pause is not None
        assert most / 2 <= pause <= most


async def test_task_without_a_handler_fails(app: FastAPI) -> None:
    """As after a rolled-back deployment."""
    task_id = await add_task(app, None)
    for _ in range(5):
        await services_of(app).celery.executor.run(task_id)
    task = await stored(app, task_id)

    assert task is not None
    assert task.state == TaskState.FAILED
    assert "no handler is registered" in (task.last_error or "")


async def test_expired_lease_is_taken_over(app: FastAPI, recorder: RecordingPublisher) -> None:
    """Another process takes the task over once the lease has expired, and not before."""
    ago = clock.now() - timedelta(seconds=1)
    alive = clock.now() + timedelta(seconds=60)
    expired = await add_task(app, store_widget, state=TaskState.RUNNING, attempt=1, due_at=ago)
    leased = await add_task(app, store_widget, state=TaskState.RUNNING, attempt=1, due_at=alive)
    await Relay(services_of(app).database, recorder).run()
    for task_id in (expired, leased):
        await services_of(app).celery.executor.run(task_id)

    assert recorder.published == [expired]
    assert await count_widgets(app) == 1
    assert await stored(app, expired) is None


async def test_superseded_attempt_is_rolled_back(app: FastAPI) -> None:
    """A slow process whose task was handed to another commits nothing."""
    worker = services_of(app).celery

    async def slow(session: Session, payload: Mapping[str, Any]) -> None:
        worker.jobs.register("test", store_widget)
        await expire_lease(app, task_id)
        await worker.executor.run(task_id)
        await store_widget(session, payload)

    task_id = await add_task(app, slow)
    await worker.executor.run(task_id)

    assert await count_widgets(app) == 1


async def expire_lease(app: FastAPI, task_id: Any) -> None:
    """Expire a task's lease."""
    async with services_of(app).database.transaction() as session:
        await session.execute(update(Task).where(Task.id == task_id).values(due_at=clock.now()))


async def test_task_whose_processes_all_died_fails(app: FastAPI) -> None:
    """It fails without another attempt."""
    ago = clock.now() - timedelta(seconds=1)
    task_id = await add_task(app, store_widget, state=TaskState.RUNNING, attempt=5, due_at=ago)
    await services_of(app).celery.executor.run(task_id)
    task = await stored(app, task_id)

    assert await count_widgets(app) == 0
    assert task is not None
    assert (task.state, task.last_error) == (TaskState.FAILED, executor_module.PROCESS_DIED)


async def test_deleted_task_is_interrupted(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stops at the next renewal of its lease, even without a checkpoint."""
    executor = services_of(app).celery.executor
    monkeypatch.setattr(executor, "_settings", executor._settings.model_copy(update={"lease": 0.1}))
    began = asyncio.Event()

    async def endless(_: Session, __: Mapping[str, Any]) -> None:
        began.set()
        await asyncio.Event().wait()

    task_id = await add_task(app, endless, owner_id="ada")
    executing = asyncio.create_task(executor.run(task_id))
    await began.wait()
    async with services_of(app).database.transaction() as session:
        await session.execute(delete(Task).where(Task.owner_id == "ada"))

    async with asyncio.timeout(PATIENCE):
        assert await executing is None


async def test_soft_time_limit_interrupts_an_attempt(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempt has failed and is retried."""
    monkeypatch.setenv("CELERY_SOFT_TIME_LIMIT", "0.01")
    other = create_app()
    services_of(other).database = services_of(app).database

    async def endless(_: Session, __: Mapping[str, Any]) -> None:
        await asyncio.Event().wait()

    task_id = await add_task(other, endless)
    await services_of(other).celery.executor.run(task_id)
    task = await stored(app, task_id)

    assert task is not None
    assert (task.state, task.last_error) == (TaskState.PENDING, "TimeoutError()")


async def test_stopping_process_releases_its_task(app: FastAPI) -> None:
    """The task is due at once, not when its lease expires."""
    began = asyncio.Event()

    async def endless(_: Session, __: Mapping[str, Any]) -> None:
        began.set()
        await asyncio.Event().wait()

    task_id = await add_task(app, endless)
    executing = asyncio.create_task(services_of(app).celery.executor.run(task_id))
    await began.wait()
    executing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await executing
    task = await stored(app, task_id)

    assert task is not None
    assert task.state == TaskState.PENDING
    assert task.due_at is not None
    assert task.due_at <= clock.now()


async def test_due_tasks_run_at_start_without_a_broker(app: FastAPI) -> None:
    """Without a broker there is no beat: the server runs what an earlier process has left."""
    other = create_app()
    task_id = await add_task(app, None, due_at=clock.now(), name="core.mail", payload={})
    async with running(other):
        pass

    task = await stored(app, task_id)
    assert task is not None
    assert task.attempt > 0
