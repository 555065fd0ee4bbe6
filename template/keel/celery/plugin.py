"""Durable jobs instead of the in-process ones, task endpoints, exports, and retention as a scheduled task."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from uuid import UUID

from fastapi import APIRouter, FastAPI

from keel import clock
from keel.celery import events, router
from keel.celery.broker.publisher import BrokerPublisher, InProcessPublisher, Publisher
from keel.celery.export.exporters import Exporter
from keel.celery.export.handler import EXPORT, ExportHandler
from keel.celery.repository import TaskRepository
from keel.celery.services import CeleryServices
from keel.celery.settings import CelerySettings
from keel.celery.tasks.context import TaskContext, TaskHandler
from keel.celery.tasks.executor import Executor
from keel.celery.tasks.jobs import DurableJobs
from keel.celery.tasks.relay import Relay, make_due
from keel.db.database import Session
from keel.packages import load_each
from keel.services import Services, services_of
from keel.web.errors import Unavailable

RETENTION = "celery.retention"


def install(app: FastAPI) -> None:
    """Replace the in-process jobs, and add the endpoints.

    Raises:
        SettingsError: a broker is required and CELERY_BROKER_URL names none.
    """
    settings, services = CelerySettings.load(), services_of(app)
    exporters = _exporters(services)
    task_handlers: dict[str, TaskHandler] = {
        EXPORT: ExportHandler(exporters),
        RETENTION: _retention_handler(services),
    }
    jobs: DurableJobs

    def find_handler(name: str) -> TaskHandler | None:
        return jobs.find_handler(name)

    executor = Executor(settings, services.job_context, lambda: services.database, find_handler)
    publisher = _make_publisher(services, settings, executor)
    jobs = DurableJobs(publisher, services.job_context, services.jobs.handlers, task_handlers)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        if settings.in_process:
            # Without a beat, relay what an earlier process left behind. An unavailable database fails its own checks.
            with suppress(Unavailable):
                await Relay(services.database, jobs.publisher).run()
        yield

    async def purge(session: Session) -> int:
        return await TaskRepository(session).purge(clock.now() - timedelta(days=settings.retention_days))

    services.jobs = jobs
    services.celery = CeleryServices(settings, jobs, executor, exporters)
    services.schedule.clock = "python -m app celery beat"
    services.schedule.add("retention", RETENTION, "17 * * * *")
    services.scopes |= {"tasks:read": "Read your tasks", "tasks:write": "Start and cancel tasks"}
    services.retention.register("celery tasks", purge)
    app.include_router(events.router, prefix="/api/v1")
    app.include_router(router.router, prefix="/api/v1")
    app.include_router(APIRouter(lifespan=lifespan))


def _exporters(services: Services) -> dict[str, Exporter]:
    """Return the exporters of all packages."""
    exporters: dict[str, Exporter] = {}
    for _, module in load_each(services.packages, "exports"):
        exporters |= module.exporters(services)
    return exporters


def _make_publisher(services: Services, settings: CelerySettings, executor: Executor) -> Publisher:
    if settings.in_process:
        return InProcessPublisher(executor.run)

    async def on_failure(task_ids: Sequence[UUID]) -> None:
        await make_due(services.database, task_ids)

    return BrokerPublisher(settings, on_failure)


def _retention_handler(services: Services) -> TaskHandler:
    async def handle(task: TaskContext) -> None:
        await services.retention.run(task.database)
        async with task.finishing():
            pass

    return handle
