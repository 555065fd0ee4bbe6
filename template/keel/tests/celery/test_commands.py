"""The commands for tasks."""

from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import select
from typer.testing import CliRunner

from keel import clock
from keel.celery.enums import TaskState
from keel.celery.models import Task
from keel.celery.tasks import leases
from keel.celery.worker import heartbeat
from keel.ops import cli
from keel.services import services_of
from keel.tests.application import create_app
from keel.tests.celery.support import add_task, stored

runner = CliRunner()


async def run(*arguments: str) -> tuple[int, str]:
    """Run a command; return its exit code and output."""
    import asyncio

    result = await asyncio.to_thread(
        runner.invoke, cli.build(create_app, "app"), ["celery", *arguments], env={"COLUMNS": "200"}
    )
    return result.exit_code, result.output


@pytest.fixture
async def failed(app: FastAPI) -> UUID:
    """Return a failed task."""
    fields = {"state": TaskState.FAILED, "attempt": 5, "last_error": "KeyError('x')", "finished_at": clock.now()}
    return await add_task(app, None, due_at=None, owner_id="ada", **fields)


async def test_failed_lists_failed_tasks(failed: UUID) -> None:
    """The list has the number of attempts and the last error."""
    code, output = await run("failed")

    assert code == 0
    for text in (str(failed), "test", "5", "KeyError('x')"):
        assert text in output


async def test_status_shows_tasks_and_the_active_beat(app: FastAPI, failed: UUID) -> None:
    """It shows the number of tasks by state, and the holder of beat's lease."""
    code, output = await run("status")
    assert code == 0
    assert "failed" in output
    assert "No beat is active." in output
    await leases.acquire(services_of(app).database, leases.BEAT, "here:1", 60)

    assert "Active beat: here:1" in (await run("status"))[1]


@pytest.mark.parametrize("every", [False, True])
async def test_replay_retries_failed_tasks(app: FastAPI, failed: UUID, *, every: bool) -> None:
    """A failed task gets all its attempts again; tasks in other states stay as they are."""
    other = await add_task(app, None, state=TaskState.CANCELLED, due_at=None, finished_at=clock.now())
    code, output = await run("replay", "--all" if every else str(failed))
    async with services_of(app).database.transaction() as session:
        states = {row.id: row.state for row in await session.execute(select(Task.id, Task.state))}

    assert code == 0
    assert "Tasks to retry: 1" in output
    # The command's own process has run it already, and no handler has this name.
    assert states == {failed: TaskState.FAILED, other: TaskState.CANCELLED}
    task = await stored(app, failed)
    assert task is not None
    assert "no handler is registered" in (task.last_error or "")


@pytest.mark.parametrize("arguments", [[], [str(uuid4()), "--all"]])
async def test_replay_needs_a_task_or_all(app: FastAPI, arguments: list[str]) -> None:
    """Giving neither or both is refused."""
    code, output = await run("replay", *arguments)

    assert code == 2
    assert "--all" in output


@pytest.mark.parametrize("role", [[], ["beat"]])
async def test_worker_and_beat_need_a_broker(app: FastAPI, role: list[str]) -> None:
    """The message names the variable."""
    code, output = await run(*role)

    assert code == 2
    assert "CELERY_BROKER_URL" in output


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        ([], ["--quiet", "worker", "--without-gossip", "--without-mingle"]),
        (["--concurrency", "3"], ["--quiet", "worker", "--without-gossip", "--without-mingle", "--concurrency=3"]),
        (["beat"], ["--quiet", "beat"]),
    ],
)
async def test_worker_and_beat_start_celery(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, arguments: list[str], passed: list[str]
) -> None:
    """The command line is Celery's own."""
    started: list[list[str]] = []
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://127.0.0.1:1//")
    monkeypatch.setattr("keel.celery.worker.app.WorkerApp.start", lambda _, arguments: started.append(arguments))

    assert (await run(*arguments))[0] == 0
    assert started == [passed]


@pytest.mark.parametrize(("lives", "code"), [(True, 0), (False, 1)])
async def test_alive_reports_the_heartbeat(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, *, lives: bool, code: int
) -> None:
    """The exit code suits a liveness probe."""
    monkeypatch.setattr(heartbeat, "is_alive", lambda: lives)

    assert (await run("alive"))[0] == code
