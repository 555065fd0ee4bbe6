"""The progress of a task as server-sent events."""

import asyncio
from collections.abc import AsyncIterable
from contextlib import suppress
from uuid import UUID

from fastapi import APIRouter
from fastapi.sse import EventSourceResponse, ServerSentEvent

from keel.background.shutdown import Shutdown
from keel.celery.dependencies import TaskDep, TasksReadDep
from keel.celery.schemas import Task
from keel.celery.service import TaskNotFound
from keel.dependencies import ShutdownDep
from keel.identity import RESPONSES
from keel.web import errors
from keel.web.concurrency import Counted

POLL_SECONDS = 0.5
"""Between two queries: any process may run the task, and all write to the database."""

router = APIRouter(prefix="/tasks", tags=["tasks"], responses=RESPONSES)


@router.get("/{task_id}/events", response_class=EventSourceResponse, responses=errors.responses(TaskNotFound))
async def task_events(
    task_id: UUID, task: TaskDep, tasks: TasksReadDep, shutdown: ShutdownDep, _: Counted
) -> AsyncIterable[ServerSentEvent]:
    """Stream a task: an event `task`, with the task as data, for each change. The stream ends with the final state.

    A connection may end before that; browsers reconnect and get the current state.
    """
    sent: Task | None = None
    with suppress(TaskNotFound):
        while not shutdown.begun:
            if task != sent:
                sent = task
                yield ServerSentEvent(event="task", raw_data=task.model_dump_json())
            if task.state.finished:
                return
            await _pause(shutdown)
            task = await tasks.get(task_id)


async def _pause(shutdown: Shutdown) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(POLL_SECONDS):
            await shutdown.wait()
