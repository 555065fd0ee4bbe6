"""The project with a job for tests, as processes: `python -m keel.tests.celery.program celery`."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI

from keel.celery.tasks import relay
from keel.celery.worker import beat
from keel.db.database import Session
from keel.ops import cli
from keel.services import services_of
from keel.tests.application import create_app
from keel.tests.celery.support import add_widget

JOURNAL = "TEST_JOURNAL"
"""The variable with the path of the file to which the processes log."""

YEARLY = "0 0 1 1 *"


def log(*words: object) -> None:
    """Write a line; lines of several processes do not mix."""
    with Path(os.environ[JOURNAL]).open("a", encoding="utf-8") as journal:
        journal.write(" ".join(map(str, words)) + "\n")


async def handle(session: Session, payload: Mapping[str, Any]) -> None:
    """Wait, then store a widget, which tests count."""
    log("begun", os.getpid(), id(asyncio.get_running_loop()))
    while _is_closed(payload.get("gate")):
        await asyncio.sleep(0.05)
    if payload.get("stuck"):
        time.sleep(payload["seconds"])  # noqa: ASYNC251 - it blocks the event loop on purpose
    await asyncio.sleep(payload["seconds"])
    await add_widget(session, payload["title"])


def _is_closed(gate: str | None) -> bool:
    """Whether the test has not created the file for which the job waits."""
    return gate is not None and not Path(gate).exists()


def create_app_with_a_job() -> FastAPI:
    """Build the application with the job."""
    app = create_app()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        log("opened", os.getpid())
        yield
        log("closed", os.getpid())

    services_of(app).jobs.register("test", handle)
    services_of(app).schedule.entries.clear()
    services_of(app).schedule.add("test", "test", YEARLY, {"title": "scheduled", "seconds": 0})
    app.include_router(APIRouter(lifespan=lifespan))
    return app


if __name__ == "__main__":
    # Shorter than in production, since the tests wait for them.
    relay.REPUBLISH_SECONDS = 3.0
    beat.LEASE = 3.0
    cli.build(create_app_with_a_job, "app")(prog_name="program")
