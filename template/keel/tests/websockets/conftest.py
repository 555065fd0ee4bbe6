"""An application with the endpoint, and callers named by their tokens."""

import time
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from fastapi import FastAPI

from keel import websockets
from keel.application import new_app
from keel.caller import Caller, VerifiedCaller
from keel.services import services_of
from keel.testing.server import Server
from keel.testing.support import eventually
from keel.tests.websockets.echo import router
from keel.web.errors import AppError, Forbidden
from keel.websockets.registry import ConnectionRegistry


class Unauthenticated(AppError):
    """The error raised by a feature that signs callers in."""

    status = HTTPStatus.UNAUTHORIZED


class Callers:
    """Replaces `identify`: a token is a name, up to a dot, and expires when `ends` says so."""

    def __init__(self) -> None:
        self.ends: dict[str, float] = {}
        self.scopes = frozenset({"echo"})
        self.seconds: float | None = None
        """How long an identity is valid; then the connection identifies its caller again."""
        self.asked: Counter[str | None] = Counter()

    async def verify_caller(self, _: FastAPI, token: str | None, scopes: Any = ()) -> VerifiedCaller:
        """Return the caller of a token."""
        self.asked[token] += 1
        if token is None or self.ends.get(token, time.time() + 60) <= time.time():
            raise Unauthenticated("Sign in first.")
        if not set(scopes) <= self.scopes:
            raise Forbidden("This token does not allow that.")
        expires_at = None if self.seconds is None else time.time() + self.seconds
        return VerifiedCaller(Caller(token.partition(".")[0], self.scopes), expires_at)


@pytest.fixture(autouse=True)
def callers(monkeypatch: pytest.MonkeyPatch) -> Callers:
    """Let tokens be callers' names."""
    callers = Callers()
    monkeypatch.setattr("keel.websockets.handshake.verify_caller", callers.verify_caller)
    monkeypatch.setattr("keel.websockets.credentials.verify_caller", callers.verify_caller)
    return callers


@pytest.fixture(scope="package")
def echo_server(environment: None) -> Iterator[Server]:
    """Return a server of the endpoint; a test that stops one starts its own."""
    with Server(echo_app()) as server:
        yield server


@pytest.fixture
async def registry(echo_server: Server) -> ConnectionRegistry:
    """Return the open connections of the server, once those of earlier tests are closed there, too."""
    found = services_of(echo_server.app).websockets
    await eventually(lambda: not found._per_caller)
    return found


def echo_app() -> FastAPI:
    """Return an application with sockets, the endpoint, and no other feature."""
    app = new_app()
    websockets.install(app)
    app.include_router(router)
    return app
