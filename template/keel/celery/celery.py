"""The Celery application that workers and beat run: `celery -A keel.celery`, or `python -m app celery`."""

import logging
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any
from uuid import UUID

from celery import Celery, signals
from fastapi import FastAPI

from keel.celery import alive
from keel.celery.broker import PERFORM, make_celery
from keel.celery.runtime import RuntimeOfProcess
from keel.celery.settings import WorkerSettings
from keel.celery.state import Worker


def composition_root() -> Callable[[], FastAPI]:
    """Return what builds the application. Named, not imported: packages do not know who composes them."""
    return import_module("app.main").create_app


def _create_app() -> FastAPI:
    return composition_root()()


runtime = RuntimeOfProcess(_create_app)
celery_app: Celery = make_celery(WorkerSettings.load())


def perform(task_id: str) -> None:
    """Do a task."""
    process = runtime.get()
    process.run(Worker.of(process.app).executor.run(UUID(task_id)))


def _leave_logging_alone(**_: Any) -> None:
    """Keep Celery from setting up logging: the application does. One line for each task is enough, and it is ours."""
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("celery.worker.consumer.consumer").addFilter(_is_alive)


def _is_alive(_: logging.LogRecord) -> bool:
    """Take it for a sign of life when a worker says that it tries to connect: to start it afresh would help nobody."""
    alive.show()
    return True


def _load(**_: Any) -> None:
    """Import the application before the fork, so that the processes share its memory and settings fail early."""
    # Several processes start at once here: migrating is for the server, or for the command.
    os.environ.setdefault("DATABASE_MIGRATE_AT_START", "false")
    composition_root()


def _start(**_: Any) -> None:
    runtime.get()


def _stop(**_: Any) -> None:
    runtime.close()


def _show_life(**_: Any) -> None:
    alive.show()


celery_app.task(name=PERFORM, shared=False, Strategy="keel.celery.strategy:strategy")(perform)
for signal, receiver in (
    (signals.setup_logging, _leave_logging_alone),
    (signals.import_modules, _load),
    (signals.worker_process_init, _start),
    (signals.worker_process_shutdown, _stop),
    (signals.worker_shutdown, _stop),
    (signals.heartbeat_sent, _show_life),
):
    signal.connect(receiver)
