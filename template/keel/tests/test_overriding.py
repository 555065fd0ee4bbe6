"""Overriding the platform without editing `keel/`, as in keel/docs/overriding.md."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from keel import about
from keel.application import new_app
from keel.caller import Caller
from keel.dependencies import CacheDep
from keel.identity import CallerDep, current_caller
from keel.messaging.cache import InProcessCache
from keel.services import services_of
from keel.settings import CoreSettings
from keel.testing.support import running

HEADERS = {"X-Request-ID", "X-Content-Type-Options", "Content-Security-Policy"}


class Gate:
    """An owner's middleware: refuses one path and fails on another."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, fail, or pass on."""
        if scope["path"] == "/closed":
            await Response("closed", 403)(scope, receive, send)
        elif scope["path"] == "/broken":
            raise RuntimeError("broken")
        else:
            await self.app(scope, receive, send)


def added() -> FastAPI:
    """Add the middleware to an existing application."""
    app = new_app()
    app.add_middleware(Gate)
    return app


@pytest.fixture(params=[lambda: new_app([Middleware(Gate)]), added], ids=["argument", "add_middleware"])
def guarded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, environment: None) -> FastAPI:
    """Return an application with the middleware, one allowed host and one allowed origin."""
    monkeypatch.setenv("ALLOWED_HOSTS", "test")
    monkeypatch.setenv("CORS_ORIGINS", "https://front.example.com")
    make: Callable[[], FastAPI] = request.param
    return make()


async def test_middleware_runs_inside_the_platform(guarded: FastAPI, capfd: pytest.CaptureFixture[str]) -> None:
    """Its responses have a request id, security and CORS headers; it never sees requests for other hosts."""
    async with running(guarded, signed_in=False) as client:
        refused = await client.get("/closed", headers={"Origin": "https://front.example.com"})
        foreign = await client.get("/closed", headers={"Host": "elsewhere"})

    assert refused.status_code == 403
    assert refused.text == "closed"
    for name in HEADERS:
        assert name in refused.headers
    assert refused.headers["Access-Control-Allow-Origin"] == "https://front.example.com"
    assert foreign.status_code == 400


async def test_errors_of_middleware_are_problem_documents(guarded: FastAPI) -> None:
    """Its exceptions become problem documents."""
    async with running(guarded, signed_in=False) as client:
        answer = await client.get("/broken")

    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


async def test_another_error_format() -> None:
    """All errors have it: of routes, of validation, of the platform's middleware."""

    def envelope(problem: Mapping[str, Any]) -> Response:
        return JSONResponse({"error": {"code": problem["status"], "message": problem["title"]}})

    app = new_app(problem_format=envelope)
    app.get("/numbers/{number}")(_number)
    async with running(app, signed_in=False) as client:
        unknown, invalid = await client.get("/nowhere"), await client.get("/numbers/one")
        large = await client.post("/nowhere", headers={"Content-Length": "999999999"})

    for answer, status in ((unknown, 404), (invalid, 422), (large, 413)):
        assert answer.status_code == status
        assert answer.json()["error"]["code"] == status
        assert answer.headers["X-Request-ID"]


async def _number(number: int) -> int:
    return number


async def test_a_service_is_replaced() -> None:
    """Another implementation is assigned before the application starts."""
    app = new_app()
    mine = services_of(app).cache = InProcessCache(max_bytes=1000)

    async def same(cache: CacheDep) -> bool:
        return cache is mine

    app.get("/same")(same)
    async with running(app, signed_in=False) as client:
        assert (await client.get("/same")).json() is True


async def test_a_dependency_is_replaced() -> None:
    """FastAPI's own way works, for the caller too."""
    app = new_app()
    app.dependency_overrides[current_caller] = lambda: Caller("robot")
    app.get("/me")(_me)
    async with running(app, signed_in=False) as client:
        assert (await client.get("/me")).json() == "robot"


async def _me(caller: CallerDep) -> str:
    return caller.subject


async def test_routers_outside_a_package() -> None:
    """A router that belongs to no package can be included."""
    router = APIRouter(prefix="/status")
    router.get("")(_status)
    app = new_app()
    app.include_router(router)
    async with running(app, signed_in=False) as client:
        assert (await client.get("/status")).json() == "/status"


async def _status(request: Request) -> str:
    return request.url.path


def test_defaults_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment takes precedence over `[tool.keel.defaults]`, and that over Keel's defaults."""
    monkeypatch.delenv("RATE_LIMIT", raising=False)
    monkeypatch.setitem(about.DEFAULTS, "RATE_LIMIT", "7/minute")
    assert CoreSettings.load().rate_limit == "7/minute"

    monkeypatch.setenv("RATE_LIMIT", "8/minute")
    assert CoreSettings.load().rate_limit == "8/minute"
