"""The progress of a task as server-sent events."""

import asyncio
from collections.abc import AsyncIterable
from uuid import UUID

from fastapi import APIRouter
from fastapi.sse import EventSourceResponse, ServerSentEvent

from keel.celery.dependencies import TaskDep, TasksReadDep
from keel.celery.schemas import Task
from keel.celery.service import TaskNotFound
from keel.identity import RESPONSES
from keel.web import errors
from keel.web.concurrency import Counted
from keel.web.event_stream import EndingDep, closed

POLL_SECONDS = 0.5
"""Seconds between queries: any process may run the task, and all of them write to the database."""

router = APIRouter(prefix="/tasks", tags=["tasks"], responses=RESPONSES)


@router.get("/{task_id}/events", response_class=EventSourceResponse, responses=errors.responses(TaskNotFound))
async def task_events(
    task_id: UUID, task: TaskDep, tasks: TasksReadDep, ending: EndingDep, _: Counted
) -> AsyncIterable[ServerSentEvent]:
    """Stream a task: an event `task`, with the task as data, for each change. The stream ends with the final state.

    A connection may end earlier; browsers reconnect and get the current state. The event `closed` means that the token
    is no longer valid.
    """
    sent: Task | None = None
    over = asyncio.ensure_future(ending())
    try:
        while not over.done():
            if task != sent:
                sent = task
                yield ServerSentEvent(event="task", raw_data=task.model_dump_json())
            if task.state.finished:
                return
            await asyncio.wait((over,), timeout=POLL_SECONDS)
            task = await tasks.get(task_id)
        over.result()
    except TaskNotFound:
        return
    except errors.AppError as error:
        yield closed(error)
    finally:
        over.cancel()
