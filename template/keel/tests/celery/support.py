"""Helpers of the tests of tasks."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import func, select

from keel.background.jobs import Handler
from keel.celery.models import Task
from keel.celery.tasks.jobs import new_task
from keel.db.database import Session
from keel.services import services_of
from keel.testing.support import PATIENCE
from keel.tests.widgets.models import Widget

TASKS = "/api/v1/tasks"


class RecordingPublisher:
    """A publisher that only records ids."""

    def __init__(self) -> None:
        self.published: list[UUID] = []

    def publish(self, task_id: UUID) -> None:
        """Record."""
        self.published.append(task_id)

    async def publish_now(self, task_ids: Sequence[UUID]) -> None:
        """Record."""
        self.published += task_ids

    async def drain(self, *, patient: bool = False) -> None:
        """Do nothing: nothing is in progress."""


async def export(client: AsyncClient, kind: str = "widgets", **body: Any) -> dict[str, Any]:
    """Start an export; return the task of the response."""
    answer = await client.post(f"{TASKS}/exports", json={"kind": kind, **body})
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
    """Return the row of a task."""
    async with services_of(app).database.transaction() as session:
        return (await session.scalars(select(Task).where(Task.id == task_id))).one_or_none()


async def add_task(app: FastAPI, handler: Handler | None, **fields: Any) -> UUID:
    """Store a task of the name `test`, handled by `handler`, without publishing it; return its id."""
    if handler is not None:
        services_of(app).celery.jobs.register("test", handler)
    task = new_task("test", {"number": 1})
    for name, value in fields.items():
        setattr(task, name, value)
    async with services_of(app).database.transaction() as session:
        session.add(task)
    return task.id


async def add_widget(session: Session, title: str) -> None:
    """Store a widget, which tests count."""
    session.add(Widget(owner_id="job", title=title))
    await session.flush()


async def count_widgets(app: FastAPI) -> int:
    """Return the number of widgets that jobs have stored."""
    owned = select(func.count().label("count")).where(Widget.owner_id == "job")
    return (await services_of(app).database.read.all(owned))[0].count
