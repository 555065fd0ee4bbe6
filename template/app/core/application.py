"""The application before any feature: settings, logs, errors, middleware, health, and the ports' defaults."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from app import about
from app.core import collector, documentation, errors, health, logs, mail
from app.core.broadcast import InProcessBroadcast
from app.core.cache_in_process import InProcessCache
from app.core.compression import CompressionMiddleware
from app.core.exports import Exports
from app.core.jobs import InProcessJobs
from app.core.middleware import (
    BodyLimitMiddleware,
    ErrorMiddleware,
    HostMiddleware,
    RequestMiddleware,
    SecurityHeadersMiddleware,
)
from app.core.openapi import Application
from app.core.presence import InProcessPresence
from app.core.propagation import Propagation
from app.core.purges import Purges
from app.core.rate_limit import EXEMPT, RateLimit, RateLimitMiddleware
from app.core.readings import Readings
from app.core.settings import CoreSettings
from app.core.shutdown import Shutdown
from app.core.subjects import Subjects

EXPOSED = ["ETag", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID"]
"""Response headers that scripts of other origins may read."""


def new_app() -> FastAPI:
    """Build the application that features are then installed into.

    Raises:
        SettingsError: a setting is missing or wrong; the message names the variable.
    """
    settings = CoreSettings.load()
    logs.configure(settings)
    app = Application(
        title=about.NAME,
        description=about.DESCRIPTION,
        version=about.VERSION,
        # Our own pages take their place.
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.api_docs else None,
        exception_handlers=errors.HANDLERS,
        # A redirect would be neither an answer nor a problem document.
        redirect_slashes=False,
        # One span for each request, if anybody takes it; our own lines tell of errors.
        telemetry={"operation_spans": False, "logs": False, "exclude": lambda scope: scope["path"] in EXEMPT},
        lifespan=_lifespan,
    )
    app.state.settings = settings
    app.state.broadcast = InProcessBroadcast()
    app.state.cache = InProcessCache()
    app.state.exports = Exports()
    app.state.propagation = Propagation()
    app.state.jobs = InProcessJobs(lambda: app.state.database, app.state.propagation)
    app.state.presence = InProcessPresence()
    app.state.purges = Purges()
    app.state.readings = Readings()
    app.state.scopes = {}
    app.state.subjects = Subjects()
    app.state.rate_limit = RateLimit(settings.rate_limit)
    mail.install(app)
    if settings.api_docs:
        documentation.install(app)
    health.install(app, timeout=settings.readiness_timeout)
    _add_middleware(app, settings)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    # Again, since a server may have set up its own logging after it imported the application.
    logs.configure(app.state.settings)
    app.state.shutdown = Shutdown()
    if app.state.settings.deployed:
        collector.settle()
    async with app.state.shutdown.listening():
        yield


def _add_middleware(app: FastAPI, settings: CoreSettings) -> None:
    """Add the middleware, innermost first: what is added last sees a request first."""
    app.add_middleware(BodyLimitMiddleware, limit=settings.max_body_size)
    app.add_middleware(CompressionMiddleware, minimum_size=1000, compresslevel=5)
    if settings.rate_limit:
        app.add_middleware(RateLimitMiddleware, limit=app.state.rate_limit)
    if "*" not in settings.allowed_hosts:
        app.add_middleware(HostMiddleware, allowed=settings.allowed_hosts, exempt=EXEMPT)
    app.add_middleware(ErrorMiddleware)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PATCH", "PUT", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "If-Match",
                "If-None-Match",
                "Last-Event-ID",
                "X-Requested-With",
            ],
            allow_credentials=True,
            expose_headers=EXPOSED,
        )
    app.add_middleware(SecurityHeadersMiddleware, hsts=settings.deployed)
    app.add_middleware(RequestMiddleware)
