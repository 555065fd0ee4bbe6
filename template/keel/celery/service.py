"""The rules of tasks: whose they are, how many there may be, when they can be cancelled."""

import hashlib
from collections.abc import AsyncIterator
from http import HTTPStatus
from uuid import UUID

from pydantic import TypeAdapter

from keel import clock
from keel.background.exports import Exports
from keel.caller import Caller
from keel.celery.exports import EXPORT
from keel.celery.formats import Format
from keel.celery.jobs import DurableJobs, new_task
from keel.celery.progress import drop_chunks
from keel.celery.repository import TaskReader, TaskRepository
from keel.celery.schemas import ExportRequest, Task, TaskQuery
from keel.celery.settings import WorkerSettings
from keel.celery.states import State
from keel.clock import UtcDatetime
from keel.db.database import Session
from keel.web.errors import AppError, BadRequest, Forbidden, NotFound, TooManyRequests
from keel.web.pagination import Cursor, Page, decode_cursor

_ORDER = "-created_at"
_MOMENT: TypeAdapter[UtcDatetime] = TypeAdapter(UtcDatetime)


class TaskNotFound(NotFound):
    """There is no such task, or it belongs to somebody else."""

    type = "urn:problem:task-not-found"


class NoResult(AppError):
    """The task has not succeeded, or has nothing to download."""

    status = HTTPStatus.CONFLICT
    type = "urn:problem:no-result"


class TaskFinished(AppError):
    """The task is finished: it cannot be cancelled."""

    status = HTTPStatus.CONFLICT
    type = "urn:problem:task-finished"


class UnknownExport(BadRequest):
    """Nothing of this kind can be exported."""

    type = "urn:problem:unknown-export"


class ExportNotAllowed(Forbidden):
    """The caller may not read what they want to export."""

    type = "urn:problem:missing-scope"


class KeyReused(AppError):
    """The idempotency key stands for another request."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    type = "urn:problem:idempotency-key-reused"


class TooManyExports(TooManyRequests):
    """The caller waits for as many exports as they may."""

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
        """Return a page of tasks, the latest first.

        Raises:
            InvalidCursor: the cursor is not from this list.
        """
        after = decode_cursor(query.cursor, _ORDER, _MOMENT) if query.cursor is not None else None
        rows = await self._reader.page(self._caller.subject, query.limit, after)
        items = [Task.model_validate(row) for row in rows[: query.limit]]
        if len(rows) <= query.limit:
            return Page(items=items, next=None)
        return Page(items=items, next=Cursor(items[-1].created_at, items[-1].id).encode(_ORDER))

    async def result(self, task_id: UUID) -> tuple[Task, Format, AsyncIterator[bytes]]:
        """Return a task with the form of its result, and the result itself piece by piece.

        Raises:
            TaskNotFound: the caller has no such task.
            NoResult: it has not succeeded, or has made nothing.
        """
        task = await self.get(task_id)
        if task.state is not State.SUCCEEDED or task.result is None or task.name != EXPORT:
            raise NoResult("This task has no result to download.")
        return task, Format(task.result["format"]), self._pieces(task_id, await self._reader.chunks(task_id))

    async def _pieces(self, task_id: UUID, count: int) -> AsyncIterator[bytes]:
        for number in range(count):
            piece = await self._reader.chunk(task_id, number)
            if piece is None:
                # Deleted meanwhile: the answer must not look complete.
                raise NoResult("The result is gone.")
            yield piece


class TaskService:
    """Begins and ends a caller's tasks."""

    def __init__(
        self, session: Session, caller: Caller, *, jobs: DurableJobs, exports: Exports, settings: WorkerSettings
    ) -> None:
        self._tasks = TaskRepository(session)
        self._session = session
        self._caller = caller
        self._jobs = jobs
        self._exports = exports
        self._settings = settings

    async def export(self, request: ExportRequest, *, key: str | None) -> Task:
        """Ask for an export; the same key asks for the same one.

        Raises:
            UnknownExport: nothing of this kind can be exported.
            ExportNotAllowed: the caller may not read it.
            KeyReused: the key stands for another request.
            TooManyExports: the caller waits for as many exports as they may.
        """
        exporter = self._exports.get(request.kind)
        if exporter is None:
            raise UnknownExport("There is nothing of this kind.")
        if not self._caller.may(exporter.scope):
            raise ExportNotAllowed(f"This needs the scope {exporter.scope}.")
        digest = hashlib.sha256(f"{self._caller.subject}\n{key}".encode()).hexdigest() if key is not None else None
        payload = {"kind": request.kind, "format": request.format}
        # Otherwise requests that come at the same moment would not see each other's tasks.
        await self._session.advisory_lock(f"{EXPORT}:{self._caller.subject}")
        if digest is not None and (known := await self._tasks.by_key(digest)):
            if known.payload != payload:
                raise KeyReused("You have used this Idempotency-Key for another request.")
            return Task.model_validate(known)
        if await self._tasks.unfinished(self._caller.subject, EXPORT) >= self._settings.exports:
            raise TooManyExports("Wait until one of your exports is finished.", headers={"Retry-After": "10"})
        task = new_task(EXPORT, payload, owner=self._caller.subject, key=digest)
        await self._jobs.add(self._session, task)
        return Task.model_validate(task)

    async def cancel(self, task_id: UUID) -> Task:
        """Cancel a task: it is not begun, or it stops at its next checkpoint.

        Raises:
            TaskNotFound: the caller has no such task.
            TaskFinished: it is finished.
        """
        task = await self._tasks.get(self._caller.subject, task_id)
        if task is None:
            raise TaskNotFound("There is no such task.")
        if not await self._tasks.cancel(task_id, clock.now()):
            raise TaskFinished("The task is finished already.")
        await drop_chunks(self._session, task_id)
        await self._session.refresh(task)
        return Task.model_validate(task)
