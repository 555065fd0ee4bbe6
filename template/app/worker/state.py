"""What the worker keeps for the application's lifetime."""

from dataclasses import dataclass

from fastapi import FastAPI

from app.worker.execution import Executor
from app.worker.jobs import DurableJobs
from app.worker.schedule import Schedule
from app.worker.settings import WorkerSettings


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
        return app.state.worker
