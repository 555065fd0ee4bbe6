"""Plugging telemetry into the application."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext

import structlog
from fastapi import APIRouter, FastAPI

from app.core import logs
from app.core.database import Database
from app.telemetry import sql
from app.telemetry.lines import sender
from app.telemetry.propagation import Traced
from app.telemetry.providers import Providers, providers
from app.telemetry.settings import TelemetrySettings

FLUSH_SECONDS = 3.0
"""What the end of a process waits for a collector."""

log = structlog.get_logger()


def install_telemetry(app: FastAPI, settings: TelemetrySettings) -> None:
    """Set this process up when it starts to work, and send what waits when it ends."""
    if sender not in logs.PROCESSORS:
        logs.PROCESSORS.append(sender)

    app.state.propagation.register(Traced())

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
    database: Database = app.state.database
    sql.watch(database.writer, "writer")
    sql.watch(database.reader, "reader")
