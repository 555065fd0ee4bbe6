"""The job of imports, its schedule and retention, and resuming imports after a restart."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog
from fastapi import APIRouter, FastAPI
from sqlalchemy.exc import SQLAlchemyError

from app.examples.notes.imports.job import ImportJob
from app.examples.notes.imports.repository import ImportRepository
from app.examples.notes.imports.service import JOB
from keel.clock import now
from keel.db.database import Session
from keel.services import services_of
from keel.web.errors import Unavailable

RESUME = "notes.resume_imports"
KEPT = timedelta(days=7)
UPLOAD = timedelta(days=1)
"""No upload takes this long: the process that received it was lost."""

log = structlog.get_logger()


def install(app: FastAPI) -> None:
    """Register them."""
    services = services_of(app)
    job = ImportJob(services)
    services.jobs.register(JOB, job.run)
    services.jobs.register(RESUME, job.resume_stalled)
    services.schedule.add("stalled imports of notes", RESUME, "*/10 * * * *")
    services.retention.register("imports of notes", _purge)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        # Jobs may have been lost with the previous process. Resuming an import that another process works on
        # does no harm.
        try:
            async with services.database.transaction() as session:
                await job.resume(session, now())
        except (Unavailable, SQLAlchemyError) as error:
            await log.awarning("imports_not_resumed", error=repr(error))
        yield

    app.include_router(APIRouter(lifespan=lifespan))


async def _purge(session: Session) -> int:
    return await ImportRepository(session).purge(now() - KEPT, now() - UPLOAD)
