"""This project with a job that only tests have, in processes of their own: `python -m keel.tests.celery.program worker`."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI

from app import main
from keel.celery import beat, relay
from keel.db.database import Session
from keel.ops import cli
from keel.services import services_of
from keel.tests.celery.support import add_note

JOURNAL = "TEST_JOURNAL"
"""The variable that names the file in which processes say what they do."""

YEARLY = "0 0 1 1 *"

create_app = main.create_app


def say(*words: object) -> None:
    """Write a line; lines of several processes do not mix."""
    with Path(os.environ[JOURNAL]).open("a", encoding="utf-8") as journal:
        journal.write(" ".join(map(str, words)) + "\n")


async def work(session: Session, payload: Mapping[str, Any]) -> None:
    """Take some time, then store something that can be counted."""
    say("begun", os.getpid(), id(asyncio.get_running_loop()))
    if payload.get("stuck"):
        time.sleep(payload["seconds"])  # noqa: ASYNC251 - it must not let go of the event loop
    await asyncio.sleep(payload["seconds"])
    await add_note(session, payload["title"])


def create_app_with_a_job() -> FastAPI:
    """Build the application as it is, and add the job."""
    app = create_app()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        say("opened", os.getpid())
        yield
        say("closed", os.getpid())

    services_of(app).jobs.register("test", work)
    services_of(app).celery.schedule.add("test", "test", YEARLY, {"title": "scheduled", "seconds": 0})
    app.include_router(APIRouter(lifespan=lifespan))
    return app


if __name__ == "__main__":
    # `keel.celery.celery` asks for it by its name.
    vars(main)["create_app"] = create_app_with_a_job
    # Tests need not be as patient as operators.
    relay.PATIENCE = 3.0
    beat.LEASE = 3.0
    cli.build(create_app_with_a_job, "app")(prog_name="program")
