"""What a process that does a task writes about it.

Each statement names the attempt that it belongs to. A process that was given up for dead, or whose task was cancelled,
finds no row to change: it learns that the task is no longer its own, and what it was about to commit is rolled back.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, delete, insert, or_, update

from keel.celery.models import Chunk, Task
from keel.celery.states import State
from keel.db.database import Session


class Superseded(Exception):
    """The task is no longer this process's: it was cancelled, deleted, or given to another."""


async def claim(session: Session, task_id: UUID, now: datetime, lease: float) -> Task | None:
    """Take a task that waits, or whose process has given no sign of life for too long; None if it is not to be had."""
    abandoned = and_(Task.state == State.RUNNING, Task.due_at <= now)
    statement = (
        update(Task)
        .where(Task.id == task_id, or_(Task.state == State.PENDING, abandoned))
        .values(
            state=State.RUNNING,
            attempt=Task.attempt + 1,
            announcements=0,
            progress=0.0,
            due_at=now + timedelta(seconds=lease),
            started_at=now,
        )
        .returning(Task)
    )
    return (await session.scalars(statement, execution_options={"populate_existing": True})).one_or_none()


async def change(session: Session, task_id: UUID, attempt: int, **values: Any) -> None:
    """Write something about the task that this process does.

    Raises:
        Superseded: it does not do it any more.
    """
    statement = update(Task).where(_ours(task_id, attempt)).values(**values).returning(Task.id)
    if (await session.execute(statement)).first() is None:
        raise Superseded


async def remove(session: Session, task_id: UUID, attempt: int) -> None:
    """Delete a task that is done and that nobody waits to hear of.

    Raises:
        Superseded: this process does not do it any more.
    """
    if (await session.execute(delete(Task).where(_ours(task_id, attempt)).returning(Task.id))).first() is None:
        raise Superseded


async def add_chunk(session: Session, task_id: UUID, number: int, data: bytes) -> None:
    """Store a piece of the result."""
    await session.execute(insert(Chunk).values(task_id=task_id, number=number, data=data))


async def drop_chunks(session: Session, task_id: UUID) -> None:
    """Forget what attempts have made."""
    await session.execute(delete(Chunk).where(Chunk.task_id == task_id))


def _ours(task_id: UUID, attempt: int) -> Any:
    return and_(Task.id == task_id, Task.attempt == attempt, Task.state == State.RUNNING)
