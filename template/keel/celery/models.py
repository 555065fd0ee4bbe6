"""Tables of tasks."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from keel.db.models import Base


class Task(Base):
    """A task, from the transaction that enqueues it until its retention ends."""

    __tablename__ = "celery_tasks"
    __table_args__ = (Index(None, "owner_id", "created_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str] = mapped_column(String(100))
    owner_id: Mapped[str | None] = mapped_column(String(255))
    """The subject who started it; None for jobs of the application, which are deleted when they succeed."""
    payload: Mapped[Any] = mapped_column(JSON(none_as_null=True))
    headers: Mapped[Any] = mapped_column(JSON(none_as_null=True))
    """The context of the request that enqueued it; see `keel.background.jobs`."""
    state: Mapped[str] = mapped_column(String(20))
    progress: Mapped[float] = mapped_column()
    """Progress from 0 to 1."""
    result: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[str | None] = mapped_column(String(500))
    """Shown to the owner."""
    last_error: Mapped[str | None] = mapped_column(String(1000))
    """Shown to operators: the `repr` of the last exception."""
    attempt: Mapped[int] = mapped_column()
    """0 until the first attempt starts."""
    publish_count: Mapped[int] = mapped_column()
    """Messages that the relay has published since the last attempt started."""
    due_at: Mapped[datetime | None] = mapped_column(index=True)
    """When the relay publishes the task again unless its state changes; for a running task, the end of its lease."""
    created_at: Mapped[datetime] = mapped_column()
    started_at: Mapped[datetime | None] = mapped_column()
    finished_at: Mapped[datetime | None] = mapped_column(index=True)


class Chunk(Base):
    """A part of a task's result: in the database, since one machine produces it and another serves it."""

    __tablename__ = "celery_chunks"

    task_id: Mapped[UUID] = mapped_column(ForeignKey("celery_tasks.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[bytes] = mapped_column()


class ScheduleRun(Base):
    """When an entry of the schedule last ran: a beat that takes over neither repeats nor skips one."""

    __tablename__ = "celery_schedule_runs"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    last_run_at: Mapped[datetime] = mapped_column()


class Lease(Base):
    """The holder of a role that one process at a time may have."""

    __tablename__ = "celery_leases"

    role: Mapped[str] = mapped_column(String(50), primary_key=True)
    holder: Mapped[str] = mapped_column(String(200))
    expires_at: Mapped[datetime] = mapped_column()
