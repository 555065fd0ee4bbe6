"""What the worker keeps for the application's lifetime."""

from dataclasses import dataclass

from fastapi import FastAPI

from keel.celery.execution import Executor
from keel.celery.jobs import DurableJobs
from keel.celery.schedule import Schedule
from keel.celery.settings import WorkerSettings
from keel.services import services_of


@dataclass(frozen=True, slots=True)
class Worker:
    """Settings, and what works with them."""

    settings: WorkerSettings
    jobs: DurableJobs
    executor: Executor
    schedule: Schedule

    @classmethod
    def of(cls, app: FastAPI) -> "Worker":
        """Return what an application keeps."""
        return services_of(app).celery
