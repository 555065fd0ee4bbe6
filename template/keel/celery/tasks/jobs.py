"""Jobs as rows of the table of tasks, stored in the transaction that enqueues them."""

from collections.abc import Mapping, MutableMapping
from datetime import timedelta
from typing import Any

import orjson

from keel import clock
from keel.background.jobs import Handler, JobContext
from keel.celery.broker.publisher import Publisher
from keel.celery.enums import TaskState
from keel.celery.models import Task
from keel.celery.repository import TaskRepository
from keel.celery.tasks.context import TaskContext, TaskHandler
from keel.db.database import Session

RELAY_DELAY = timedelta(seconds=30)
"""When the relay publishes a new task: its message normally follows the commit, unless the process dies in between."""


def new_task(name: str, payload: Mapping[str, Any], *, owner: str | None = None) -> Task:
    """Return a task that is not stored yet.

    Raises:
        TypeError: the payload is not JSON.
    """
    now = clock.now()
    return Task(
        name=name,
        owner_id=owner,
        payload=orjson.loads(orjson.dumps(payload)),
        headers={},
        state=TaskState.PENDING,
        progress=0.0,
        attempt=0,
        publish_count=0,
        created_at=now,
        due_at=now + RELAY_DELAY,
    )


class DurableJobs:
    """Jobs that survive the process that enqueues them."""

    def __init__(
        self,
        publisher: Publisher,
        job_context: JobContext,
        handlers: MutableMapping[str, Handler],
        task_handlers: Mapping[str, TaskHandler],
    ) -> None:
        """Keep the handlers registered so far; `task_handlers` need more than one transaction."""
        self.publisher = publisher
        self.handlers = handlers
        self._job_context = job_context
        self._task_handlers = task_handlers

    def register(self, name: str, handler: Handler) -> None:
        """Register the handler of a job."""
        self.handlers[name] = handler

    async def enqueue(self, session: Session, name: str, payload: Mapping[str, Any]) -> None:
        """Enqueue a job, which runs once the session's transaction is committed; see `Jobs.enqueue`.

        Raises:
            KeyError: no handler has this name.
        """
        if self.find_handler(name) is None:
            raise KeyError(name)
        await self.add(session, new_task(name, payload))

    async def add(self, session: Session, task: Task) -> None:
        """Store a task, and publish it after the commit."""
        task.headers = self._job_context.headers()
        await TaskRepository(session).add(task)
        task_id = task.id

        async def publish() -> None:
            self.publisher.publish(task_id)

        session.after_commit(publish)

    async def drain(self, *, patient: bool = False) -> None:
        """Wait for this process's messages, and without a broker for its tasks."""
        await self.publisher.drain(patient=patient)

    def find_handler(self, name: str) -> TaskHandler | None:
        """Return the handler of tasks of a name."""
        if task_handler := self._task_handlers.get(name):
            return task_handler
        handler = self.handlers.get(name)
        if handler is None:
            return None

        async def handle(task: TaskContext) -> None:
            async with task.finishing() as session:
                await handler(session, task.payload)

        return handle
