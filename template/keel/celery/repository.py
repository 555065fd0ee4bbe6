"""Queries of tasks for their owners and for operators."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, func, select, tuple_, update

from keel.celery.enums import UNFINISHED, TaskState
from keel.celery.models import Chunk, Task
from keel.db.database import AnyRow, ReadSession, Session
from keel.web.pagination import Cursor

_COLUMNS = (
    Task.id,
    Task.name,
    Task.state,
    Task.progress,
    Task.result,
    Task.error,
    Task.created_at,
    Task.started_at,
    Task.finished_at,
)
_ONE = select(*_COLUMNS).where(Task.id == bindparam("id"), Task.owner_id == bindparam("owner"))
_PAGE = (
    select(*_COLUMNS)
    .where(Task.owner_id == bindparam("owner"))
    .order_by(Task.created_at.desc(), Task.id.desc())
    .limit(bindparam("limit", literal_execute=False))
)
_AFTER = _PAGE.where(
    tuple_(Task.created_at, Task.id)
    < tuple_(bindparam("after_value", type_=Task.created_at.type), bindparam("after_id", type_=Task.id.type))
)
_CHUNK = select(Chunk.data).where(Chunk.task_id == bindparam("id"), Chunk.number == bindparam("number"))
_COUNT_CHUNKS = select(func.count()).select_from(Chunk).where(Chunk.task_id == bindparam("id"))
_BY_STATE = (
    select(Task.state, func.count().label("tasks"), func.min(Task.created_at).label("oldest"))
    .group_by(Task.state)
    .order_by(Task.state)
)
_FAILED = (
    select(Task.id, Task.name, Task.attempt, Task.finished_at, Task.last_error)
    .where(Task.state == TaskState.FAILED)
    .order_by(Task.finished_at)
    .limit(bindparam("limit", literal_execute=False))
)


class TaskReader:
    """Reads tasks as rows, for responses."""

    def __init__(self, session: ReadSession) -> None:
        self._session = session

    async def get(self, owner: str, task_id: UUID) -> AnyRow | None:
        """Return a task of an owner."""
        return await self._session.first(_ONE, {"id": task_id, "owner": owner})

    async def page(self, owner: str, limit: int, after: Cursor[datetime] | None) -> Sequence[AnyRow]:
        """Return up to `limit + 1` of an owner's tasks, latest first; the last one shows that there is a next page."""
        parameters: dict[str, Any] = {"owner": owner, "limit": limit + 1}
        if after is None:
            return await self._session.all(_PAGE, parameters)
        return await self._session.all(_AFTER, {**parameters, "after_value": after.value, "after_id": after.id})

    async def count_chunks(self, task_id: UUID) -> int:
        """Return the number of chunks of a result."""
        return await self._session.scalar(_COUNT_CHUNKS, {"id": task_id})

    async def chunk(self, task_id: UUID, number: int) -> bytes | None:
        """Return a chunk of a result."""
        return await self._session.scalar(_CHUNK, {"id": task_id, "number": number})

    async def count_by_state(self) -> Sequence[AnyRow]:
        """Return (state, tasks, oldest) for each state, where `oldest` is the earliest creation time."""
        return await self._session.all(_BY_STATE)

    async def failed(self, limit: int) -> Sequence[AnyRow]:
        """Return failed tasks of all owners, oldest first."""
        return await self._session.all(_FAILED, {"limit": limit})


class TaskRepository:
    """Changes tasks, within a transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, task: Task) -> None:
        """Store a new task."""
        self._session.add(task)
        await self._session.flush()

    async def get(self, owner: str, task_id: UUID) -> Task | None:
        """Return a task of an owner, locked until the transaction ends."""
        statement = select(Task).where(Task.id == task_id, Task.owner_id == owner).with_for_update()
        return (await self._session.scalars(statement)).one_or_none()

    async def count_unfinished(self, owner: str, name: str) -> int:
        """Return the number of an owner's unfinished tasks of a name."""
        statement = select(func.count()).where(Task.owner_id == owner, Task.name == name, Task.state.in_(UNFINISHED))
        return (await self._session.scalars(statement)).one()

    async def cancel(self, task_id: UUID, now: datetime) -> bool:
        """Cancel a task; return False if it is finished."""
        statement = (
            update(Task)
            .where(Task.id == task_id, Task.state.in_(UNFINISHED))
            .values(state=TaskState.CANCELLED, due_at=None, finished_at=now)
            .returning(Task.id)
        )
        return (await self._session.execute(statement)).first() is not None

    async def replay(self, now: datetime, task_id: UUID | None = None) -> Sequence[UUID]:
        """Make failed tasks pending again, one or all; return their ids."""
        statement = (
            update(Task)
            .where(Task.state == TaskState.FAILED)
            .values(
                state=TaskState.PENDING,
                attempt=0,
                publish_count=0,
                progress=0.0,
                error=None,
                finished_at=None,
                due_at=now,
            )
            .returning(Task.id)
        )
        if task_id is not None:
            statement = statement.where(Task.id == task_id)
        return (await self._session.scalars(statement)).all()

    async def purge(self, before: datetime) -> int:
        """Delete tasks that finished before a time, with their results; return how many."""
        statement = delete(Task).where(Task.finished_at < before).returning(Task.id)
        return len((await self._session.scalars(statement)).all())
