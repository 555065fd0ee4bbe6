"""Core's jobs as rows of the table of tasks, stored in the transaction that asks for them."""

from collections.abc import Mapping, MutableMapping
from datetime import timedelta
from typing import Any

import orjson

from keel import clock
from keel.background.job_context import JobContext
from keel.background.jobs import Handler
from keel.celery.announcing import Announcer
from keel.celery.models import Task
from keel.celery.repository import TaskRepository
from keel.celery.run import Run, Work
from keel.celery.states import State
from keel.db.database import Session

UNHEARD = timedelta(seconds=30)
"""When the relay looks after a new task: its announcement follows at once, unless the process dies between the two."""


def new_task(name: str, payload: Mapping[str, Any], *, owner: str | None = None, key: str | None = None) -> Task:
    """Return a task that is still to be stored."""
    now = clock.now()
    return Task(
        name=name,
        owner_id=owner,
        key=key,
        # What cannot be stored fails here and now.
        payload=orjson.loads(orjson.dumps(payload)),
        headers={},
        state=State.PENDING,
        progress=0.0,
        attempt=0,
        announcements=0,
        created_at=now,
        due_at=now + UNHEARD,
    )


class DurableJobs:
    """Jobs that outlive the process which enqueues them."""

    def __init__(
        self,
        announcer: Announcer,
        job_context: JobContext,
        handlers: MutableMapping[str, Handler],
        works: Mapping[str, Work],
    ) -> None:
        """Keep the handlers that are registered already; `works` do what is more than one transaction."""
        self.announcer = announcer
        self.handlers = handlers
        self._job_context = job_context
        self._works = works

    def register(self, name: str, handler: Handler) -> None:
        """Say what does the jobs of a name."""
        self.handlers[name] = handler

    async def enqueue(self, session: Session, name: str, payload: Mapping[str, Any]) -> None:
        """Do a job once the session's transaction is committed; see `Jobs.enqueue`."""
        if name not in self.handlers:
            raise KeyError(name)
        await self.add(session, new_task(name, payload))

    async def add(self, session: Session, task: Task) -> None:
        """Store a task, and announce it after the commit."""
        task.headers = self._job_context.headers()
        await TaskRepository(session).add(task)
        task_id = task.id

        async def announce() -> None:
            self.announcer.announce(task_id)

        session.after_commit(announce)

    async def drain(self) -> None:
        """Wait for what this process has begun."""
        await self.announcer.drain()

    def find(self, name: str) -> Work | None:
        """Return what does tasks of a name."""
        if work := self._works.get(name):
            return work
        handler = self.handlers.get(name)
        if handler is None:
            return None

        async def work_by_handler(run: Run) -> None:
            async with run.finishing() as session:
                await handler(session, run.payload)

        return work_by_handler
