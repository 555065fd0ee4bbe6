"""How a task gets on, as server-sent events."""

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

LOOK = 0.5
"""Seconds between two looks at the database: whichever process does the task, that is where it writes."""

router = APIRouter(prefix="/tasks", tags=["tasks"], responses=RESPONSES)


@router.get("/{task_id}/events", response_class=EventSourceResponse, responses=errors.responses(TaskNotFound))
async def task_events(
    task_id: UUID, task: TaskDep, tasks: TasksReadDep, shutdown: ShutdownDep
) -> AsyncIterable[ServerSentEvent]:
    """Hear how a task gets on: events `task`, each with the task, when it has changed; the last one says how it ended.

    A connection may end before that: browsers come back by themselves and hear the state as it is then.
    """
    told: Task | None = None
    with suppress(TaskNotFound):
        while not shutdown.begun:
            if task != told:
                told = task
                yield ServerSentEvent(event="task", raw_data=task.model_dump_json())
            if task.state.finished:
                return
            await _pause(shutdown)
            task = await tasks.get(task_id)


async def _pause(shutdown: Shutdown) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(LOOK):
            await shutdown.wait()
