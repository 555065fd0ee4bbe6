"""An attempt at a task, for its handler."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from keel import clock
from keel.celery.enums import TaskState
from keel.celery.models import Task
from keel.celery.tasks import progress
from keel.db.database import Database, Session


class TaskContext:
    """An attempt: the task, and methods that store its progress and result."""

    def __init__(self, database: Database, task: Task) -> None:
        self.database = database
        self.id = task.id
        self.name = task.name
        self.owner = task.owner_id
        self.payload: Mapping[str, Any] = task.payload
        self.attempt = task.attempt
        self._chunks = 0

    async def reset_result(self) -> None:
        """Delete what earlier attempts have stored of the result.

        Raises:
            Superseded: the task was cancelled, deleted, or given to another process.
        """
        async with self.database.transaction() as session:
            await progress.change(session, self.id, self.attempt, progress=0.0)
            await progress.delete_chunks(session, self.id)

    async def write(self, data: bytes, done: float) -> None:
        """Append to the result, and store the progress (0 to 1).

        Raises:
            Superseded: the task was cancelled, deleted, or given to another process.
        """
        async with self.database.transaction() as session:
            await progress.change(session, self.id, self.attempt, progress=done)
            await progress.add_chunk(session, self.id, self._chunks, data)
        self._chunks += 1

    @asynccontextmanager
    async def finishing(self, result: Mapping[str, Any] | None = None) -> AsyncGenerator[Session]:
        """Open the transaction that completes the task: its changes are stored once, with the task's final state.

        Raises:
            Superseded: the task was cancelled, deleted, or given to another process; the transaction is rolled back.
        """
        async with self.database.transaction() as session:
            yield session
            if self.owner is None:
                await progress.delete_task(session, self.id, self.attempt)
            else:
                await progress.change(
                    session,
                    self.id,
                    self.attempt,
                    state=TaskState.SUCCEEDED,
                    progress=1.0,
                    result=result,
                    due_at=None,
                    finished_at=clock.now(),
                )


TaskHandler = Callable[[TaskContext], Awaitable[None]]
"""Runs an attempt, including the transaction that completes the task."""
