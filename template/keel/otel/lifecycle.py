"""Plugging telemetry into the application."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext

import structlog
from fastapi import APIRouter, FastAPI

from keel.db.database import Database
from keel.observability import logs
from keel.otel import sql
from keel.otel.job_context import Traced
from keel.otel.lines import sender
from keel.otel.providers import Providers, providers
from keel.otel.settings import TelemetrySettings
from keel.services import services_of

FLUSH_SECONDS = 3.0
"""What the end of a process waits for a collector."""

log = structlog.get_logger()


def install_telemetry(app: FastAPI, settings: TelemetrySettings) -> None:
    """Set this process up when it starts to work, and send what waits when it ends."""
    if sender not in logs.PROCESSORS:
        logs.PROCESSORS.append(sender)

    services_of(app).job_context.register(Traced())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        # Here and not before: threads do not survive a fork.
        chosen = providers(settings)
        _connect(app, chosen)
        looking = chosen.readings.of(app) if chosen.readings else nullcontext()
        try:
            async with looking:
                yield
        finally:
            if not await asyncio.to_thread(chosen.flush, FLUSH_SECONDS):
                await log.awarning("telemetry_not_flushed")

    app.include_router(APIRouter(lifespan=lifespan))


def _connect(app: FastAPI, chosen: Providers) -> None:
    sender.logger = chosen.logs.get_logger("app") if chosen.logs else None
    database: Database = services_of(app).database
    sql.watch(database.writer, "writer")
    sql.watch(database.reader, "reader")
