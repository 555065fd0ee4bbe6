"""The operator's commands for tasks."""

from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import select
from typer.testing import CliRunner

from app.main import create_app
from keel import clock
from keel.celery import alive, leases
from keel.celery.models import Task
from keel.celery.states import State
from keel.ops import cli
from keel.services import services_of
from keel.tests.celery.support import given, stored

runner = CliRunner()


async def run(*arguments: str) -> tuple[int, str]:
    """Run a command, as an operator does; return its exit code and what it prints."""
    import asyncio

    result = await asyncio.to_thread(
        runner.invoke, cli.build(create_app, "app"), ["celery", *arguments], env={"COLUMNS": "200"}
    )
    return result.exit_code, result.output


@pytest.fixture
async def failed(app: FastAPI) -> UUID:
    """Return a task that was given up."""
    fields = {"state": State.FAILED, "attempt": 5, "reason": "KeyError('x')", "finished_at": clock.now()}
    return await given(app, None, due_at=None, owner_id="ada", **fields)


async def test_failed_tasks_are_listed(failed: UUID) -> None:
    """Which, how often they were begun, and why they failed."""
    code, output = await run("failed")

    assert code == 0
    for text in (str(failed), "test", "5", "KeyError('x')"):
        assert text in output


async def test_status(app: FastAPI, failed: UUID) -> None:
    """How many tasks there are, and whether anybody looks after them."""
    code, output = await run("status")
    assert code == 0
    assert "failed" in output
    assert "No beat is at work." in output
    await leases.acquire(services_of(app).database, leases.BEAT, "here:1", 60)

    assert "Beat at work: here:1" in (await run("status"))[1]


@pytest.mark.parametrize("every", [False, True])
async def test_replaying(app: FastAPI, failed: UUID, *, every: bool) -> None:
    """A task begins anew, with all its attempts; others are left alone."""
    other = await given(app, None, state=State.CANCELLED, due_at=None, finished_at=clock.now())
    code, output = await run("replay", "--all" if every else str(failed))
    async with services_of(app).database.transaction() as session:
        states = {row.id: row.state for row in await session.execute(select(Task.id, Task.state))}

    assert code == 0
    assert "1 of them will be done again." in output
    # The command's own process has begun it already, and nothing does tasks of this name.
    assert states == {failed: State.FAILED, other: State.CANCELLED}
    task = await stored(app, failed)
    assert task is not None
    assert "nothing does tasks" in (task.reason or "")


@pytest.mark.parametrize("arguments", [[], [str(uuid4()), "--all"]])
async def test_replaying_needs_one_answer(app: FastAPI, arguments: list[str]) -> None:
    """One task or all of them, said in so many words."""
    code, output = await run("replay", *arguments)

    assert code == 2
    assert "--all" in output


@pytest.mark.parametrize("role", [[], ["beat"]])
async def test_roles_need_a_broker(app: FastAPI, role: list[str]) -> None:
    """Without one there is nothing that they could do."""
    code, output = await run(*role)

    assert code == 2
    assert "WORKER_BROKER_URL" in output


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        ([], ["--quiet", "worker", "--without-gossip", "--without-mingle"]),
        (["--concurrency", "3"], ["--quiet", "worker", "--without-gossip", "--without-mingle", "--concurrency=3"]),
        (["beat"], ["--quiet", "beat"]),
    ],
)
async def test_roles(app: FastAPI, monkeypatch: pytest.MonkeyPatch, arguments: list[str], passed: list[str]) -> None:
    """They are Celery's own."""
    started: list[list[str]] = []
    monkeypatch.setenv("WORKER_BROKER_URL", "amqp://127.0.0.1:1//")
    monkeypatch.setattr("keel.celery.celery.celery_app.start", started.append)

    assert (await run(*arguments))[0] == 0
    assert started == [passed]


@pytest.mark.parametrize(("lives", "code"), [(True, 0), (False, 1)])
async def test_alive(app: FastAPI, monkeypatch: pytest.MonkeyPatch, *, lives: bool, code: int) -> None:
    """For a supervisor."""
    monkeypatch.setattr(alive, "is_alive", lambda: lives)

    assert (await run("alive"))[0] == code
