"""What is served at a path: below the prefix of a proxy, by which methods, and to HEAD wherever to GET."""

from collections.abc import MutableMapping
from typing import Any

import anyio
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def path_below(scope: MutableMapping[str, Any]) -> str:
    """Return the path of a request without the prefix below which a proxy serves the application (`root_path`)."""
    path, root = scope["path"], scope.get("root_path", "").rstrip("/")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def methods_at(scope: Scope) -> list[str]:
    """Return the methods that the routes at a request's path serve together."""
    found = [method for method in METHODS if _serves(scope, method)]
    return [*found, "HEAD"] if "GET" in found and "HEAD" not in found else found


class HeadMiddleware:
    """Answers HEAD as GET, without the body; FastAPI's routes answer 405."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request; HEAD becomes GET, but where a route serves it itself."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or _serves(scope, "HEAD") or not _serves(scope, "GET"):
            await self.app(scope, receive, send)
            return
        with anyio.CancelScope() as answering:

            async def send_head(message: Message) -> None:
                if message["type"] == "http.response.start":
                    await send(message)
                    length = any(name == b"content-length" for name, _ in message["headers"])
                    if length or message["status"] != 200:  # noqa: PLR2004 - OK
                        return
                    answering.cancel()  # a stream might never end
                elif message.get("more_body", False):
                    return
                await send({"type": "http.response.body"})

            await self.app({**scope, "method": "GET"}, receive, send_head)


def _serves(scope: Scope, method: str) -> bool:
    return any(route.matches({**scope, "method": method})[0] is Match.FULL for route in scope["app"].routes)
