"""Worker: work that outlives the process that took it. Jobs, exports and scheduled purges, carried out by Celery."""

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

if TYPE_CHECKING:
    from celery import Celery

    celery_app: Celery


def install(app: FastAPI) -> None:
    """Put a durable queue in the place of core's jobs, and add the endpoints.

    Raises:
        SettingsError: no broker is named where one is needed.
    """
    from keel.celery.lifecycle import install_worker

    install_worker(app)


def __getattr__(name: str) -> Any:
    """Return the Celery application for whoever asks for it; servers need it only when they first announce a task."""
    if name == "celery_app":
        from keel.celery.celery import celery_app

        return celery_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
