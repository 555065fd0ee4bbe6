"""The application: settings, logs, errors, middleware, health, the features, then the packages of `app/`."""

import gc
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from starlette.middleware import Middleware

from keel import about
from keel.background.shutdown import Shutdown
from keel.features import FEATURES
from keel.identity import CALLER_MIDDLEWARE
from keel.messaging import mail
from keel.observability import logs
from keel.packages import Package, check_commands, find_package, find_packages, load_each
from keel.services import Services, services_of
from keel.settings import CoreSettings
from keel.web import errors, health
from keel.web.body_limits import BodyLimitMiddleware, StructureLimitMiddleware
from keel.web.concurrency import ConcurrencyLimit
from keel.web.errors import ProblemFormat
from keel.web.hosts import HostMiddleware
from keel.web.middleware import ErrorMiddleware, LivenessMiddleware, RequestMiddleware, SecurityHeadersMiddleware
from keel.web.openapi import pages
from keel.web.openapi.application import Application
from keel.web.paths import HeadMiddleware, check_routes, path_below
from keel.web.rate_limit import EXEMPT, RateLimit, RateLimitMiddleware

EXPOSED = [
    *("ETag", "Idempotency-Replayed", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After"),
    "X-Request-ID",
]
"""Response headers that scripts of other origins may read."""

ACCEPTED = [
    *("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID"),
    *("X-Request-ID", "X-Requested-With", "baggage", "traceparent", "tracestate"),
]
"""Request headers that scripts of other origins may send."""

API = "/api/v1"
"""Where the routers of packages are."""


def create_app(
    root: str, *, middleware: Sequence[Middleware] = (), problem_format: ProblemFormat | None = None
) -> FastAPI:
    """Build the application.

    Args:
        root: the name of the package whose packages are found by their modules (`keel.packages`).
        middleware: your own, outermost first. It runs inside the platform's, as does that of `app.add_middleware`:
            its responses get a request id, security headers and an access line, and its errors are problem documents.
        problem_format: builds a response of another format from the members of a problem document.

    Raises:
        SettingsError: a setting is missing or wrong; the message names the variable.
        PackageError: a package of the root breaks a convention, or clashes with another; the message says what to
            change.
    """
    app = new_app(middleware, problem_format, CALLER_MIDDLEWARE)
    services = services_of(app)
    services.packages = find_packages(root)
    for feature in FEATURES:
        feature.install(app)
    app.begin_group()
    install_packages(app, services.packages)
    check_commands([*(find_package(feature.__name__) for feature in FEATURES), *services.packages])
    check_routes(app)
    return app


def new_app(
    middleware: Sequence[Middleware] = (),
    problem_format: ProblemFormat | None = None,
    caller_middleware: Sequence[Middleware] = (),
) -> Application:
    """Build the application without features and packages; see `create_app`."""
    settings = CoreSettings.load()
    logs.configure(settings)
    services = Services(
        settings=settings,
        mailer=mail.make_mailer(),
        checks=health.Checks(settings.readiness_timeout),
        rate_limit=RateLimit(settings.rate_limit),
        streams=ConcurrencyLimit("streams", settings.streams_per_caller, settings.max_streams),
    )
    app = Application(
        title=about.NAME,
        description=about.DESCRIPTION,
        version=about.VERSION,
        # Replaced by our own pages.
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.api_docs else None,
        exception_handlers=errors.HANDLERS,
        # A redirect would be neither a response of the API nor a problem document.
        redirect_slashes=False,
        # One span per request, if a provider is set; our own log lines report errors.
        telemetry={"operation_spans": False, "logs": False, "exclude": lambda scope: path_below(scope) in EXEMPT},
        lifespan=_lifespan,
        middleware=list(middleware),
        body_size=settings.max_body_size,
        platform=_platform(settings, services.rate_limit, caller_middleware),
        problem_format=problem_format,
    )
    app.state.services = services
    services.jobs.register(mail.JOB, mail.sender(lambda: services.mailer))
    if settings.api_docs:
        pages.install(app)
    health.install(app, services.checks, lambda: services.shutdown.begun)
    app.begin_group()
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    services = services_of(app)
    check_routes(app)  # again: routes may have been added since; nothing is migrated yet
    # Again, since a server may have configured its own logging after importing the application.
    logs.configure(services.settings)
    services.shutdown = Shutdown()
    if services.settings.deployed:
        settle_gc()
    async with services.shutdown.listening():
        yield


def settle_gc() -> None:
    """Exclude objects created at startup from garbage collection, and collect less often.

    A request leaves a few hundred short-lived objects, which by default trigger a collection every few requests. Some
    collections traverse every loaded module, model and route, while all requests wait.
    """
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def install_packages(app: FastAPI, packages: Sequence[Package]) -> None:
    """Add the routers, plugins and other hooks of packages to an application."""
    services = services_of(app)
    for _, module in load_each(packages, "plugin"):
        module.install(app)
    for add_routes in filter(None, (getattr(feature, "add_routes", None) for feature in FEATURES)):
        add_routes(app)
    for _, module in load_each(packages, "events"):
        app.include_router(module.router, prefix=API)
    for _, module in load_each(packages, "router"):
        services.scopes |= getattr(module, "SCOPES", {})
        app.include_router(module.router, prefix=API)


def _platform(
    settings: CoreSettings, rate_limit: RateLimit, caller_middleware: Sequence[Middleware]
) -> list[Middleware]:
    """Return the platform's middleware, outermost first."""
    chosen = [Middleware(RequestMiddleware), Middleware(SecurityHeadersMiddleware, hsts=settings.deployed)]
    if settings.cors_origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"],
            allow_headers=[*ACCEPTED, *settings.cors_headers],
            allow_credentials=True,
            expose_headers=EXPOSED,
        )
        chosen.append(cors)
    chosen.append(Middleware(LivenessMiddleware, path=health.LIVENESS, alive=health.alive))
    chosen.append(Middleware(ErrorMiddleware))
    if "*" not in settings.allowed_hosts:
        chosen.append(Middleware(HostMiddleware, allowed=settings.allowed_hosts, exempt=EXEMPT))
    chosen += caller_middleware
    if settings.rate_limit:
        chosen.append(Middleware(RateLimitMiddleware, limit=rate_limit))
    chosen.append(Middleware(HeadMiddleware))
    chosen.append(Middleware(GZipMiddleware, minimum_size=1000, compresslevel=5))
    chosen.append(Middleware(BodyLimitMiddleware, limit=settings.max_body_size))
    chosen.append(Middleware(StructureLimitMiddleware, max_items=settings.max_body_items))
    return chosen
