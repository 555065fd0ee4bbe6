"""Plugging the worker into the application."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from uuid import UUID

from fastapi import APIRouter, FastAPI

from app.core import clock
from app.core.database import Session
from app.core.errors import Unavailable
from app.worker import measures
from app.worker.announcing import Announcer, BrokerAnnouncer, InProcessAnnouncer
from app.worker.execution import Executor
from app.worker.exports import EXPORT, ExportWork
from app.worker.jobs import DurableJobs
from app.worker.ownership import TaskRows
from app.worker.relay import Relay, make_due
from app.worker.repository import TaskRepository
from app.worker.run import Run, Work
from app.worker.schedule import Schedule
from app.worker.settings import WorkerSettings
from app.worker.state import Worker

PURGES = "worker.purges"


def install_worker(app: FastAPI) -> None:
    """Put a durable queue in the place of core's jobs; add endpoints, the export, and the purges as a task."""
    from app.worker.events import router as events
    from app.worker.router import router

    settings = WorkerSettings.load()
    works: dict[str, Work] = {EXPORT: ExportWork(app), PURGES: _purges(app)}
    jobs: DurableJobs

    def find(name: str) -> Work | None:
        return jobs.find(name)

    executor = Executor(settings, app.state.propagation, lambda: app.state.database, find)
    jobs = DurableJobs(_announcer(app, settings, executor), app.state.propagation, app.state.jobs.handlers, works)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        if settings.in_process:
            # What an earlier process has left: nobody else looks after it. A database that is away has its own checks.
            with suppress(Unavailable):
                await Relay(app.state.database, jobs.announcer).run()
        yield

    async def purge(session: Session) -> int:
        return await TaskRepository(session).purge(clock.now() - timedelta(days=settings.keep_days))

    app.state.jobs = jobs
    app.state.worker = Worker(settings, jobs, executor, Schedule())
    app.state.worker.schedule.add("purges", PURGES, "17 * * * *")
    app.state.readings.register(measures.GAUGES, lambda: measures.read(app))
    app.state.scopes |= {"tasks:read": "Read your tasks", "tasks:write": "Begin and cancel tasks"}
    app.state.subjects.register(TaskRows())
    app.state.purges.register("worker tasks", purge)
    app.include_router(events, prefix="/api/v1")
    app.include_router(router, prefix="/api/v1")
    app.include_router(APIRouter(lifespan=lifespan))


def _announcer(app: FastAPI, settings: WorkerSettings, executor: Executor) -> Announcer:
    if settings.in_process:
        return InProcessAnnouncer(executor.run)

    async def failed(task_ids: Sequence[UUID]) -> None:
        await make_due(app.state.database, task_ids)

    return BrokerAnnouncer(settings, failed)


def _purges(app: FastAPI) -> Work:
    async def work(run: Run) -> None:
        await app.state.purges.run(run.database)
        async with run.finishing():
            pass

    return work
