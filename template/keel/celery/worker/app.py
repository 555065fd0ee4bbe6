"""The Celery application of workers and beat: `python -m app celery`.

To run it with Celery's own command line, `celery -A tasks worker`, write a module such as `tasks.py`:

    from app.main import create_app
    from keel.celery.worker.app import WorkerApp

    celery = WorkerApp(create_app)
"""

import logging
import os
from collections.abc import Callable
from typing import Any
from uuid import UUID

from celery import signals
from fastapi import FastAPI

from keel.celery.broker.client import RUN_TASK, CeleryApp
from keel.celery.settings import CelerySettings
from keel.celery.worker import heartbeat
from keel.celery.worker.runtime import ProcessRuntime
from keel.services import services_of


class WorkerApp(CeleryApp):
    """A Celery application whose processes run tasks in the FastAPI application."""

    def __init__(self, create_app: Callable[[], FastAPI]) -> None:
        """Configure Celery; `create_app` is called in each process, after the fork."""
        super().__init__(CelerySettings.load())
        self.runtime = ProcessRuntime(create_app)
        self.task(name=RUN_TASK, shared=False, Strategy="keel.celery.worker.strategy:strategy")(self.run_task)
        # Celery keeps weak references to these methods: they are no longer called once this object is deleted.
        for signal, receiver in (
            (signals.setup_logging, self._on_setup_logging),
            (signals.import_modules, self._on_import_modules),
            (signals.worker_process_init, self._on_process_init),
            (signals.worker_process_shutdown, self._on_shutdown),
            (signals.worker_shutdown, self._on_shutdown),
            (signals.heartbeat_sent, self._on_heartbeat),
        ):
            signal.connect(receiver)

    def run_task(self, task_id: str) -> None:
        """Run a task in this process."""
        runtime = self.runtime.get()
        runtime.run(services_of(runtime.app).celery.executor.run(UUID(task_id)))

    def _on_setup_logging(self, **_: Any) -> None:
        """Replace Celery's logging with the application's, with one line per task."""
        for name in ("celery.worker.strategy", "celery.app.trace"):
            logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger("celery.worker.consumer.consumer").addFilter(_touch_heartbeat)

    def _on_import_modules(self, **_: Any) -> None:
        # Several processes start at once: migrations are left to the server or the command.
        os.environ.setdefault("DATABASE_MIGRATE_AT_START", "false")

    def _on_process_init(self, **_: Any) -> None:
        self.runtime.get()

    def _on_shutdown(self, **_: Any) -> None:
        self.runtime.close()

    def _on_heartbeat(self, **_: Any) -> None:
        heartbeat.touch()


def _touch_heartbeat(_: logging.LogRecord) -> bool:
    """Count each line about a lost connection as a heartbeat: restarting a worker does not bring the broker back."""
    heartbeat.touch()
    return True
