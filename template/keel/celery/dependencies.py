"""How a request gets its services."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Security

from keel.caller import Caller
from keel.celery.repository import TaskReader
from keel.celery.schemas import Task
from keel.celery.service import TaskReadService, TaskService
from keel.celery.state import Worker
from keel.dependencies import ReadSessionDep, SessionDep
from keel.identity import current_caller
from keel.services import services_of

ReaderDep = Annotated[Caller, Security(current_caller, scopes=["tasks:read"])]
WriterDep = Annotated[Caller, Security(current_caller, scopes=["tasks:write"])]


async def get_read_service(session: ReadSessionDep, caller: ReaderDep) -> TaskReadService:
    """Return what reads the caller's tasks."""
    return TaskReadService(TaskReader(session), caller)


async def get_service(session: SessionDep, caller: WriterDep, request: Request) -> TaskService:
    """Return what begins and ends the caller's tasks."""
    worker = Worker.of(request.app)
    return TaskService(
        session, caller, jobs=worker.jobs, exports=services_of(request.app).exports, settings=worker.settings
    )


TasksReadDep = Annotated[TaskReadService, Depends(get_read_service)]
TasksDep = Annotated[TaskService, Depends(get_service)]


async def get_task(task_id: UUID, tasks: TasksReadDep) -> Task:
    """Return the task that the path names."""
    return await tasks.get(task_id)


TaskDep = Annotated[Task, Depends(get_task)]
