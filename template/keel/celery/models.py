"""Tables of tasks."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from keel.db.models import Base


class Task(Base):
    """Something to do, from the transaction that asks for it until its result has served its time."""

    __tablename__ = "worker_tasks"
    __table_args__ = (Index(None, "owner_id", "created_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str] = mapped_column(String(100))
    owner_id: Mapped[str | None] = mapped_column(String(255))
    """Whose task it is; nobody's if the application gave it to itself."""
    key: Mapped[str | None] = mapped_column(String(64), unique=True)
    """Stands for the request that asked: whoever asks again gets the same task."""
    payload: Mapped[Any] = mapped_column(JSON(none_as_null=True))
    headers: Mapped[Any] = mapped_column(JSON(none_as_null=True))
    """What goes along from whoever asked; see `keel.background.job_context`."""
    state: Mapped[str] = mapped_column(String(20))
    progress: Mapped[float] = mapped_column()
    result: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[str | None] = mapped_column(String(500))
    """What the owner is told."""
    reason: Mapped[str | None] = mapped_column(String(1000))
    """What the operator is told: the last error, as Python shows it."""
    attempt: Mapped[int] = mapped_column()
    announcements: Mapped[int] = mapped_column()
    due_at: Mapped[datetime | None] = mapped_column(index=True)
    """When the relay looks after the task if nothing else has happened to it; never again once it is finished."""
    created_at: Mapped[datetime] = mapped_column()
    started_at: Mapped[datetime | None] = mapped_column()
    finished_at: Mapped[datetime | None] = mapped_column(index=True)


class Chunk(Base):
    """A piece of what a task has made: kept here, since any machine may make it and any other may serve it."""

    __tablename__ = "worker_chunks"

    task_id: Mapped[UUID] = mapped_column(ForeignKey("worker_tasks.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[bytes] = mapped_column()


class UtcDatetime(Base):
    """When an entry of the schedule was last asked for: a beat that takes over neither repeats nor forgets one."""

    __tablename__ = "worker_moments"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    last_at: Mapped[datetime] = mapped_column()


class Lease(Base):
    """Who has a role that only one process may have at a time."""

    __tablename__ = "worker_leases"

    role: Mapped[str] = mapped_column(String(50), primary_key=True)
    holder: Mapped[str] = mapped_column(String(200))
    expires_at: Mapped[datetime] = mapped_column()
