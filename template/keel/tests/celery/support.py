"""What tests of tasks do again and again."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import select

from keel.background.jobs import Handler
from keel.celery.jobs import new_task
from keel.celery.models import Task
from keel.celery.state import Worker
from keel.db.database import Session
from keel.services import services_of
from keel.testing.support import PATIENCE

TASKS = "/api/v1/tasks"


class Silence:
    """An announcer that tells nobody, and remembers what it was to tell."""

    def __init__(self) -> None:
        self.announced: list[UUID] = []

    def announce(self, task_id: UUID) -> None:
        """Remember."""
        self.announced.append(task_id)

    async def deliver(self, task_ids: Sequence[UUID]) -> None:
        """Remember."""
        self.announced += task_ids

    async def drain(self) -> None:
        """There is nothing to wait for."""


async def export(client: AsyncClient, **body: Any) -> dict[str, Any]:
    """Ask for an export; return the task as it was answered."""
    answer = await client.post(f"{TASKS}/exports", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"{TASKS}/{answer.json()['id']}"
    return answer.json()


async def finished(client: AsyncClient, task_id: str, patience: float = PATIENCE) -> dict[str, Any]:
    """Return a task once it is finished."""
    async with asyncio.timeout(patience):
        while True:
            task = (await client.get(f"{TASKS}/{task_id}")).json()
            if task["state"] not in {"pending", "running"}:
                return task
            await asyncio.sleep(0.01)


async def stored(app: FastAPI, task_id: UUID) -> Task | None:
    """Return a task as it is stored."""
    async with services_of(app).database.transaction() as session:
        return (await session.scalars(select(Task).where(Task.id == task_id))).one_or_none()


async def given(app: FastAPI, handler: Handler | None, **fields: Any) -> UUID:
    """Store a task of the name `test` that `handler` does, without telling anybody; return its id."""
    if handler is not None:
        Worker.of(app).jobs.register("test", handler)
    task = new_task("test", {"number": 1})
    for name, value in fields.items():
        setattr(task, name, value)
    async with services_of(app).database.transaction() as session:
        session.add(task)
    return task.id


async def add_note(session: Session, title: str) -> None:
    """Store something that a test can count."""
    from app.examples.notes.models import Note
    from keel import clock

    moment = clock.now()
    session.add(
        Note(owner_id="job", title=title, body="", search_text="", version=1, created_at=moment, updated_at=moment)
    )
    await session.flush()


async def notes_of_jobs(app: FastAPI) -> int:
    """Return how many notes jobs have stored."""
    from app.examples.notes.repository import NoteRepository

    return await NoteRepository(services_of(app).database.read).count(owner_id="job")
