"""Dependencies of the task endpoints."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Security

from keel.caller import Caller
from keel.celery.repository import TaskReader
from keel.celery.schemas import Task
from keel.celery.service import TaskReadService, TaskService
from keel.dependencies import ReadSessionDep, SessionDep
from keel.identity import current_caller
from keel.services import services_of

ReaderDep = Annotated[Caller, Security(current_caller, scopes=["tasks:read"])]
WriterDep = Annotated[Caller, Security(current_caller, scopes=["tasks:write"])]


async def make_read_service(session: ReadSessionDep, caller: ReaderDep) -> TaskReadService:
    """Return the service that reads the caller's tasks."""
    return TaskReadService(TaskReader(session), caller)


async def make_service(session: SessionDep, caller: WriterDep, request: Request) -> TaskService:
    """Return the service that starts and cancels the caller's tasks."""
    celery = services_of(request.app).celery
    return TaskService(session, caller, jobs=celery.jobs, exporters=celery.exporters, settings=celery.settings)


TasksReadDep = Annotated[TaskReadService, Depends(make_read_service)]
TasksDep = Annotated[TaskService, Depends(make_service)]


async def get_task(task_id: UUID, tasks: TasksReadDep) -> Task:
    """Return the task of the path."""
    return await tasks.get(task_id)


TaskDep = Annotated[Task, Depends(get_task)]
