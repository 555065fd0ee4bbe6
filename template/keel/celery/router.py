"""The task endpoints."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response, status
from fastapi.responses import StreamingResponse

from keel.celery.dependencies import TasksDep, TasksReadDep
from keel.celery.export.formats import Format
from keel.celery.schemas import ExportRequest, Task, TaskQuery
from keel.celery.service import (
    ExportNotAllowed,
    NoResult,
    TaskFinished,
    TaskNotFound,
    TooManyExports,
    UnknownExport,
)
from keel.idempotency.route import IdempotentRoute
from keel.identity import RESPONSES
from keel.web import errors
from keel.web.pagination import Page, link_header

router = APIRouter(prefix="/tasks", tags=["tasks"], route_class=IdempotentRoute, responses=RESPONSES)

NOT_FOUND = errors.responses(TaskNotFound)


@router.get("")
async def list_tasks(
    query: Annotated[TaskQuery, Query()], tasks: TasksReadDep, request: Request, response: Response
) -> Page[Task]:
    """List your tasks, latest first."""
    page = await tasks.list(query)
    response.headers["Link"] = link_header(request, page.next)
    response.headers["Cache-Control"] = "private, no-cache"
    return page


@router.post(
    "/exports",
    status_code=status.HTTP_202_ACCEPTED,
    responses=errors.responses(UnknownExport, ExportNotAllowed, TooManyExports),
)
async def start_export(data: ExportRequest, tasks: TasksDep, request: Request, response: Response) -> Task:
    """Export all your objects of one kind into a file. `Location` is the task."""
    task = await tasks.export(data)
    response.headers["Location"] = f"{request.url.path.removesuffix('/exports')}/{task.id}"
    return task


@router.get("/{task_id}", responses=NOT_FOUND)
async def read_task(task_id: UUID, tasks: TasksReadDep, response: Response) -> Task:
    """Read a task."""
    response.headers["Cache-Control"] = "private, no-cache"
    return await tasks.get(task_id)


@router.post("/{task_id}/cancel", responses=errors.responses(TaskNotFound, TaskFinished))
async def cancel_task(task_id: UUID, tasks: TasksDep) -> Task:
    """Cancel a task. A running one stops within seconds; its partial result is deleted."""
    return await tasks.cancel(task_id)


@router.get(
    "/{task_id}/result",
    response_class=StreamingResponse,
    responses={
        **errors.responses(TaskNotFound, NoResult),
        200: {
            "description": "The file, in the requested format",
            "content": {format_.media_type: {"schema": {"type": "string"}} for format_ in Format},
        },
    },
)
async def download_result(task_id: UUID, tasks: TasksReadDep) -> StreamingResponse:
    """Download the result of a task."""
    task, format_, chunks = await tasks.result(task_id)
    result = task.result or {}
    headers = {
        "Content-Disposition": f'attachment; filename="{result["kind"]}.{format_}"',
        "Content-Length": str(result["bytes"]),
        "Cache-Control": "private, no-store",
    }
    return StreamingResponse(chunks, media_type=format_.media_type, headers=headers)
