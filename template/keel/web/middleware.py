"""Middleware, pure ASGI: request id and access line, liveness, unexpected errors, security headers.

Middleware that does not post-process returns the inner awaitable directly: one coroutine less per request and message.
"""

import os
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from keel.observability import tracing
from keel.web.errors import problem
from keel.web.paths import header, path_below

_SOCKETS = tracing.meter.create_up_down_counter(
    "websocket.server.active_connections", unit="{connection}", description="Open WebSockets"
)
_SOCKET_DURATIONS = tracing.meter.create_histogram(
    "websocket.server.connection.duration",
    unit="s",
    description="Duration of WebSocket connections, by handshake status and close code",
    explicit_bucket_boundaries_advisory=[0.1, 1, 10, 60, 300, 1800, 3600, 14400],
)

REQUEST_ID = b"x-request-id"
_ACCEPTABLE_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


ANSWERS = frozenset({"http.response.start", "websocket.http.response.start"})
"""Messages that begin a response; the second refuses a WebSocket handshake."""


class RequestMiddleware:
    """Assigns the request id and writes one access log line per request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.log: Any = structlog.get_logger()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request with its id bound to the log context.

        Raises:
            RuntimeError: the application has not started, so the services that a request needs do not exist.
        """
        if scope["type"] == "websocket":
            await self._watch(scope, receive, send)
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if not hasattr(scope["app"].state.services, "shutdown"):
            raise RuntimeError(
                "The application has not started. In a test, write `with TestClient(app) as client:`, which starts and "
                "stops it, or use the fixture `client`; do not run a server with `--lifespan off`."
            )
        request_id = id_of(scope)
        started = time.perf_counter()
        status = 0

        def send_with_id(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (REQUEST_ID, request_id)]
            return send(message)

        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id.decode())
        try:
            await self.app(scope, receive, send_with_id)
        finally:
            duration = round((time.perf_counter() - started) * 1000, 2)
            self.log.info("request", method=scope["method"], path=scope["path"], status=status, duration_ms=duration)

    async def _watch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a WebSocket; its log line has the handshake's status (101: accepted) and the close code."""
        request_id = id_of(scope)
        started = time.perf_counter()
        opened = False
        status, code = 403, 1006  # What a server sends and reports if the application does neither.

        async def watched_receive() -> Message:
            nonlocal code
            message = await receive()
            if message["type"] == "websocket.disconnect":
                code = message.get("code", 1005)
            return message

        def watched_send(message: Message) -> Awaitable[None]:
            nonlocal status, code, opened
            kind = message["type"]
            if kind == "websocket.close":
                code = message.get("code", 1000)
            elif kind in {"websocket.accept", "websocket.http.response.start"}:
                status = message.get("status", 101)
                opened = kind == "websocket.accept"
                _SOCKETS.add(int(opened))
                message["headers"] = [*message.get("headers", ()), (REQUEST_ID, request_id)]
            return send(message)

        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id.decode())
        try:
            await self.app(scope, watched_receive, watched_send)
        finally:
            seconds = time.perf_counter() - started
            duration = round(seconds * 1000, 2)
            _SOCKETS.add(-int(opened))
            _SOCKET_DURATIONS.record(
                seconds, {"http.response.status_code": status, "websocket.close_code": code if opened else 0}
            )
            closed = {"code": code} if status == 101 else {}  # noqa: PLR2004 - Switching Protocols
            self.log.info("websocket", path=scope["path"], status=status, **closed, duration_ms=duration)


def id_of(scope: Scope) -> bytes:
    """Return the request id that a proxy sent if it is well-formed, else a new one."""
    given = header(scope, REQUEST_ID)
    return given if _ACCEPTABLE_ID.fullmatch(given) else os.urandom(16).hex().encode()


class ErrorMiddleware:
    """Turns unexpected exceptions into problem documents, inside the middleware that adds headers to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.log: Any = structlog.get_logger()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Log unexpected exceptions; the response does not describe them."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        started = False

        def watched_send(message: Message) -> Awaitable[None]:
            nonlocal started
            started = True
            return send(message)

        try:
            await self.app(scope, receive, watched_send)
        except WebSocketDisconnect:
            # The client disconnected, which is not an error.
            return
        except Exception:
            self.log.exception("unhandled_error", method=scope.get("method", "WEBSOCKET"), path=scope["path"])
            if started and scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1011})
                return
            if started:
                # Part of the response has been sent: only a broken connection can signal the error now.
                raise
            await problem(500, detail="An unexpected error occurred.")(scope, receive, send)


class LivenessMiddleware:
    """Responds to the liveness probe directly: dependencies may be slow or down while the process is alive.

    The route remains for the OpenAPI document, and for all methods but GET.
    """

    def __init__(self, app: ASGIApp, *, path: str, alive: Callable[[], ASGIApp]) -> None:
        self.app = app
        self.path, self.alive = path, alive

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Respond if this is the probe."""
        if scope["type"] == "http" and scope["method"] == "GET" and path_below(scope) == self.path:
            return self.alive()(scope, receive, send)
        return self.app(scope, receive, send)


class SecurityHeadersMiddleware:
    """Adds security headers; a response that sets one itself keeps its own."""

    def __init__(self, app: ASGIApp, *, hsts: bool) -> None:
        self.app = app
        headers = SECURITY_HEADERS | (HSTS if hsts else {})
        self.headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Add the headers to the response, including that of a refused handshake."""
        if scope["type"] == "lifespan":
            return self.app(scope, receive, send)

        def send_with_headers(message: Message) -> Awaitable[None]:
            if message["type"] in ANSWERS:
                present = {name for name, _ in message["headers"]}
                added = [header for header in self.headers if header[0] not in present]
                message["headers"] = [*message["headers"], *added]
            return send(message)

        return self.app(scope, receive, send_with_headers)


SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""After the OWASP Secure Headers Project."""

HSTS = {"strict-transport-security": "max-age=31536000; includeSubDomains"}
