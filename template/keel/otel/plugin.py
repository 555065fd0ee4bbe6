"""Plugs telemetry into the application: instrumentation when it starts, a bounded flush when it stops."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from fastapi import APIRouter, FastAPI

from keel.observability import logs
from keel.otel import sql
from keel.otel.gauge_reader import GaugeReader, find_reads
from keel.otel.job_context import TracedJobs
from keel.otel.log_export import log_export
from keel.otel.providers import Providers, get_providers
from keel.otel.settings import OtelSettings
from keel.services import services_of

FLUSH_SECONDS = 3.0
"""How long a stopping process waits for the collector."""

log = structlog.get_logger()


def install(app: FastAPI, settings: OtelSettings) -> None:
    """Instrument the application, and read the gauges of the platform's and the application's packages.

    Raises:
        PackageError: a module `gauges` has no `read`.
    """
    if log_export not in logs.PROCESSORS:
        logs.PROCESSORS.append(log_export)
    services = services_of(app)
    services.job_context.register(TracedJobs())
    reads = find_reads(services.packages)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        # Not at import: the SDK's threads do not survive a fork.
        providers = get_providers(settings)
        _instrument(app, providers)
        try:
            async with AsyncExitStack() as stack:
                if providers.metrics and providers.runtime:
                    await stack.enter_async_context(providers.runtime.observing(app))
                    reader = GaugeReader(providers.metrics.get_meter("app"), reads)
                    await stack.enter_async_context(reader.reading(app, settings.metric_export_interval / 1000))
                yield
        finally:
            if not await asyncio.to_thread(providers.flush, FLUSH_SECONDS):
                await log.awarning("telemetry_not_flushed")

    app.include_router(APIRouter(lifespan=lifespan))


def _instrument(app: FastAPI, providers: Providers) -> None:
    log_export.logger = providers.logs.get_logger("app") if providers.logs else None
    database = services_of(app).database
    sql.instrument(database.writer, "writer")
    sql.instrument(database.reader, "reader")
