"""The rules of tasks: ownership, limits, cancellation."""

from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from uuid import UUID

from pydantic import TypeAdapter

from keel import clock
from keel.caller import Caller
from keel.celery.enums import TaskState
from keel.celery.export.exporters import Exporter
from keel.celery.export.formats import Format
from keel.celery.export.handler import EXPORT
from keel.celery.repository import TaskReader, TaskRepository
from keel.celery.schemas import ExportRequest, Task, TaskQuery
from keel.celery.settings import CelerySettings
from keel.celery.tasks.jobs import DurableJobs, new_task
from keel.celery.tasks.progress import delete_chunks
from keel.clock import UtcDatetime
from keel.db.database import Session
from keel.web.errors import AppError, BadRequest, Forbidden, NotFound, TooManyRequests
from keel.web.pagination import Cursor, Page, decode_cursor

_ORDER = "-created_at"
_CREATED_AT: TypeAdapter[UtcDatetime] = TypeAdapter(UtcDatetime)


class TaskNotFound(NotFound):
    """There is no such task, or the caller does not own it."""

    type = "urn:problem:task-not-found"


class NoResult(AppError):
    """The task has not succeeded, or has no result to download."""

    status = HTTPStatus.CONFLICT
    type = "urn:problem:no-result"


class TaskFinished(AppError):
    """The task is finished and cannot be cancelled."""

    status = HTTPStatus.CONFLICT
    type = "urn:problem:task-finished"


class UnknownExport(BadRequest):
    """No exporter is registered for this kind."""

    type = "urn:problem:unknown-export"


class ExportNotAllowed(Forbidden):
    """The caller lacks the scope to read this kind."""

    type = "urn:problem:missing-scope"


class TooManyExports(TooManyRequests):
    """The caller has as many unfinished exports as allowed."""

    type = "urn:problem:too-many-exports"


class TaskReadService:
    """Reads a caller's tasks."""

    def __init__(self, reader: TaskReader, caller: Caller) -> None:
        self._reader = reader
        self._caller = caller

    async def get(self, task_id: UUID) -> Task:
        """Return a task.

        Raises:
            TaskNotFound: the caller has no such task.
        """
        row = await self._reader.get(self._caller.subject, task_id)
        if row is None:
            raise TaskNotFound("There is no such task.")
        return Task.model_validate(row)

    async def list(self, query: TaskQuery) -> Page[Task]:
        """Return a page of tasks, latest first.

        Raises:
            InvalidCursor: the cursor is not from this list.
        """
        after = decode_cursor(query.cursor, _ORDER, _CREATED_AT) if query.cursor is not None else None
        rows = await self._reader.page(self._caller.subject, query.limit, after)
        items = [Task.model_validate(row) for row in rows[: query.limit]]
        if len(rows) <= query.limit:
            return Page(items=items, next=None)
        return Page(items=items, next=Cursor(items[-1].created_at, items[-1].id).encode(_ORDER))

    async def result(self, task_id: UUID) -> tuple[Task, Format, AsyncIterator[bytes]]:
        """Return a task, the format of its result, and the result in chunks.

        Raises:
            TaskNotFound: the caller has no such task.
            NoResult: it has not succeeded, or is not an export.
        """
        task = await self.get(task_id)
        if task.state is not TaskState.SUCCEEDED or task.result is None or task.name != EXPORT:
            raise NoResult("This task has no result to download.")
        return task, Format(task.result["format"]), self._chunks(task_id, await self._reader.count_chunks(task_id))

    async def _chunks(self, task_id: UUID, count: int) -> AsyncIterator[bytes]:
        for number in range(count):
            chunk = await self._reader.chunk(task_id, number)
            if chunk is None:
                # Deleted meanwhile: abort the response, so that it does not look complete.
                raise NoResult("The result was deleted.")
            yield chunk


class TaskService:
    """Starts and cancels a caller's tasks."""

    def __init__(
        self,
        session: Session,
        caller: Caller,
        *,
        jobs: DurableJobs,
        exporters: Mapping[str, Exporter],
        settings: CelerySettings,
    ) -> None:
        self._tasks = TaskRepository(session)
        self._session = session
        self._caller = caller
        self._jobs = jobs
        self._exporters = exporters
        self._settings = settings

    async def export(self, request: ExportRequest) -> Task:
        """Start an export.

        Raises:
            UnknownExport: no exporter is registered for the kind.
            ExportNotAllowed: the caller lacks the scope to read it.
            TooManyExports: the caller has as many unfinished exports as allowed.
        """
        exporter = self._exporters.get(request.kind)
        if exporter is None:
            raise UnknownExport("This kind cannot be exported.")
        if not self._caller.may(exporter.scope):
            raise ExportNotAllowed(f"This needs the scope {exporter.scope}.")
        payload = {"kind": request.kind, "format": request.format}
        # Otherwise concurrent requests of a caller would not see each other's tasks.
        await self._session.advisory_lock(f"{EXPORT}:{self._caller.subject}")
        if await self._tasks.count_unfinished(self._caller.subject, EXPORT) >= self._settings.max_concurrent_exports:
            raise TooManyExports("Wait until one of your exports has finished.", headers={"Retry-After": "10"})
        task = new_task(EXPORT, payload, owner=self._caller.subject)
        await self._jobs.add(self._session, task)
        return Task.model_validate(task)

    async def cancel(self, task_id: UUID) -> Task:
        """Cancel a task: a pending one does not start, a running one stops at its next checkpoint or heartbeat.

        Raises:
            TaskNotFound: the caller has no such task.
            TaskFinished: it is already finished.
        """
        task = await self._tasks.get(self._caller.subject, task_id)
        if task is None:
            raise TaskNotFound("There is no such task.")
        if not await self._tasks.cancel(task_id, clock.now()):
            raise TaskFinished("The task is already finished.")
        await delete_chunks(self._session, task_id)
        await self._session.refresh(task)
        return Task.model_validate(task)
