"""Plugging the worker into the application."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from uuid import UUID

from fastapi import APIRouter, FastAPI

from keel import clock
from keel.celery import measures
from keel.celery.announcing import Announcer, BrokerAnnouncer, InProcessAnnouncer
from keel.celery.execution import Executor
from keel.celery.exports import EXPORT, ExportWork
from keel.celery.jobs import DurableJobs
from keel.celery.relay import Relay, make_due
from keel.celery.repository import TaskRepository
from keel.celery.run import Run, Work
from keel.celery.schedule import Schedule
from keel.celery.settings import WorkerSettings
from keel.celery.state import Worker
from keel.db.database import Session
from keel.services import services_of
from keel.web.errors import Unavailable

PURGES = "worker.purges"


def install_worker(app: FastAPI) -> None:
    """Put a durable queue in the place of core's jobs; add endpoints, the export, and the purges as a task."""
    from keel.celery.events import router as events
    from keel.celery.router import router

    settings = WorkerSettings.load()
    works: dict[str, Work] = {EXPORT: ExportWork(app), PURGES: _purges(app)}
    jobs: DurableJobs

    def find(name: str) -> Work | None:
        return jobs.find(name)

    executor = Executor(settings, services_of(app).job_context, lambda: services_of(app).database, find)
    jobs = DurableJobs(
        _announcer(app, settings, executor), services_of(app).job_context, services_of(app).jobs.handlers, works
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        if settings.in_process:
            # What an earlier process has left: nobody else looks after it. A database that is away has its own checks.
            with suppress(Unavailable):
                await Relay(services_of(app).database, jobs.announcer).run()
        yield

    async def purge(session: Session) -> int:
        return await TaskRepository(session).purge(clock.now() - timedelta(days=settings.keep_days))

    services_of(app).jobs = jobs
    services_of(app).celery = Worker(settings, jobs, executor, Schedule())
    services_of(app).celery.schedule.add("purges", PURGES, "17 * * * *")
    services_of(app).gauges.register(measures.GAUGES, lambda: measures.read(app))
    services_of(app).scopes |= {"tasks:read": "Read your tasks", "tasks:write": "Begin and cancel tasks"}
    services_of(app).retention.register("worker tasks", purge)
    app.include_router(events, prefix="/api/v1")
    app.include_router(router, prefix="/api/v1")
    app.include_router(APIRouter(lifespan=lifespan))


def _announcer(app: FastAPI, settings: WorkerSettings, executor: Executor) -> Announcer:
    if settings.in_process:
        return InProcessAnnouncer(executor.run)

    async def failed(task_ids: Sequence[UUID]) -> None:
        await make_due(services_of(app).database, task_ids)

    return BrokerAnnouncer(settings, failed)


def _purges(app: FastAPI) -> Work:
    async def work(run: Run) -> None:
        await services_of(app).retention.run(run.database)
        async with run.finishing():
            pass

    return work
