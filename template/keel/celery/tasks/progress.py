"""State changes by the process that runs a task.

Each statement names its attempt. If the task was cancelled, or given to another process after its lease had expired,
there is no row to change: the statement raises `Superseded`, and the transaction is rolled back.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, delete, insert, or_, update

from keel.celery.enums import TaskState
from keel.celery.models import Chunk, Task
from keel.db.database import Session


class Superseded(Exception):
    """The attempt is not the task's current one: the task was cancelled, deleted, or given to another process."""


async def claim(session: Session, task_id: UUID, now: datetime, lease: float) -> Task | None:
    """Start an attempt at a task that is pending, or whose lease has expired; None if it is neither."""
    expired = and_(Task.state == TaskState.RUNNING, Task.due_at <= now)
    statement = (
        update(Task)
        .where(Task.id == task_id, or_(Task.state == TaskState.PENDING, expired))
        .values(
            state=TaskState.RUNNING,
            attempt=Task.attempt + 1,
            publish_count=0,
            progress=0.0,
            due_at=now + timedelta(seconds=lease),
            started_at=now,
        )
        .returning(Task)
    )
    return (await session.scalars(statement, execution_options={"populate_existing": True})).one_or_none()


async def change(session: Session, task_id: UUID, attempt: int, **values: Any) -> None:
    """Update the task of a current attempt.

    Raises:
        Superseded: the attempt is not the current one.
    """
    statement = update(Task).where(_is_current(task_id, attempt)).values(**values).returning(Task.id)
    if (await session.execute(statement)).first() is None:
        raise Superseded


async def delete_task(session: Session, task_id: UUID, attempt: int) -> None:
    """Delete a task that has succeeded and has no owner.

    Raises:
        Superseded: the attempt is not the current one.
    """
    statement = delete(Task).where(_is_current(task_id, attempt)).returning(Task.id)
    if (await session.execute(statement)).first() is None:
        raise Superseded


async def add_chunk(session: Session, task_id: UUID, number: int, data: bytes) -> None:
    """Store a chunk of the result."""
    await session.execute(insert(Chunk).values(task_id=task_id, number=number, data=data))


async def delete_chunks(session: Session, task_id: UUID) -> None:
    """Delete the result."""
    await session.execute(delete(Chunk).where(Chunk.task_id == task_id))


def _is_current(task_id: UUID, attempt: int) -> Any:
    return and_(Task.id == task_id, Task.attempt == attempt, Task.state == TaskState.RUNNING)
