"""One attempt at a task, as whoever does the work sees it."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from keel import clock
from keel.celery import progress
from keel.celery.models import Task
from keel.celery.states import State
from keel.db.database import Database, Session


class Run:
    """An attempt: what is to be done, and where to write about it."""

    def __init__(self, database: Database, task: Task) -> None:
        self.database = database
        self.id = task.id
        self.name = task.name
        self.owner = task.owner_id
        self.payload: Mapping[str, Any] = task.payload
        self.attempt = task.attempt
        self._chunks = 0

    async def begin_result(self) -> None:
        """Forget what earlier attempts have made.

        Raises:
            Superseded: the task was cancelled, deleted, or given to another process.
        """
        async with self.database.transaction() as session:
            await progress.change(session, self.id, self.attempt, progress=0.0)
            await progress.drop_chunks(session, self.id)

    async def add(self, data: bytes, done: float) -> None:
        """Store a piece of the result, and say how much of the task is done (0 to 1).

        Raises:
            Superseded: the task was cancelled, deleted, or given to another process.
        """
        async with self.database.transaction() as session:
            await progress.change(session, self.id, self.attempt, progress=done)
            await progress.add_chunk(session, self.id, self._chunks, data)
        self._chunks += 1

    @asynccontextmanager
    async def finishing(self, result: Mapping[str, Any] | None = None) -> AsyncGenerator[Session]:
        """Open the transaction that ends the task: what is stored in it is stored once, or the task is not done.

        Raises:
            Superseded: the task was cancelled, deleted, or given to another process; nothing is stored.
        """
        async with self.database.transaction() as session:
            yield session
            if self.owner is None:
                await progress.remove(session, self.id, self.attempt)
            else:
                await progress.change(
                    session,
                    self.id,
                    self.attempt,
                    state=State.SUCCEEDED,
                    progress=1.0,
                    result=result,
                    due_at=None,
                    finished_at=clock.now(),
                )


Work = Callable[[Run], Awaitable[None]]
"""Does a task, up to the transaction that ends it."""
