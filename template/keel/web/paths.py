"""Paths: a proxy's prefix, the methods that are served, and HEAD wherever there is GET."""

import re
from collections.abc import Awaitable, MutableMapping
from typing import Any

import anyio
from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keel.hooks import PackageError

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_PARAMETER = re.compile(r"{[^}:]*")


def path_below(scope: MutableMapping[str, Any]) -> str:
    """Return the path of a request without the prefix of a proxy (`root_path`)."""
    path, root = scope["path"], scope.get("root_path", "").rstrip("/")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def header(scope: Scope, name: bytes) -> bytes:
    """Return a request's first header of a lower-case name; empty if there is none."""
    for key, value in scope["headers"]:
        if key == name:
            return value
    return b""


def try_below_prefix(router: APIRouter) -> None:
    """Match the routes of a router only against paths that contain its prefix.

    FastAPI tries each route of each router in turn, twice in the right one. Each try costs a request a third of a
    dependency, so every additional router would slow down the whole project.
    """
    start, matches = router.prefix.partition("{")[0], router.matches

    def matches_below(scope: Scope) -> tuple[Match, Scope]:
        return matches(scope) if start in scope["path"] and router.routes else (Match.NONE, {})

    router.matches = matches_below


def check_routes(app: FastAPI) -> None:
    """Check that no two routes conflict, ignoring the names of parameters.

    Raises:
        PackageError: two functions serve the same method and path; the message names both.
    """
    found: dict[tuple[str, str], str] = {}
    for route in iter_route_contexts(app.routes):
        if route.path is None or route.endpoint is None:
            continue
        name = f"{route.endpoint.__module__}.{getattr(route.endpoint, '__name__', type(route.endpoint).__name__)}"
        for method in route.methods or ("WebSocket",):
            other = found.setdefault((method, _PARAMETER.sub("{", route.path)), name)
            if other != name:
                raise PackageError(
                    f"Two functions serve {method} {route.path}: {other} and {name}. Give yours another path."
                )


def methods_at(scope: Scope) -> list[str]:
    """Return all methods that the routes at a request's path serve."""
    found = [method for method in METHODS if _serves(scope, method)]
    return [*found, "HEAD"] if "GET" in found and "HEAD" not in found else found


class HeadMiddleware:
    """Answers HEAD like GET, without the body; FastAPI's routes answer 405."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle a request; HEAD becomes GET, unless a route serves it itself."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or _serves(scope, "HEAD") or not _serves(scope, "GET"):
            return self.app(scope, receive, send)
        return self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        ended = False
        with anyio.CancelScope() as answering:

            async def send_head(message: Message) -> None:
                nonlocal ended
                if ended:  # a stream may go on until it next waits
                    return
                if message["type"] == "http.response.start":
                    await send(message)
                    length = any(name == b"content-length" for name, _ in message["headers"])
                    if length or message["status"] != 200:  # noqa: PLR2004 - OK
                        return
                    answering.cancel()  # a stream might never end
                elif message.get("more_body", False):
                    return
                ended = True
                await send({"type": "http.response.body"})

            await self.app({**scope, "method": "GET"}, receive, send_head)


def _serves(scope: Scope, method: str) -> bool:
    return any(route.matches({**scope, "method": method})[0] is Match.FULL for route in scope["app"].routes)
