"""Compression of answers."""

from collections.abc import Awaitable
from typing import Any

from fastapi.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send


class CompressionMiddleware:
    """Starlette's, which only callers pay for who accept compressed answers."""

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        self.app = app
        self.compressing = GZipMiddleware(app, **options)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Compress the answer if the caller can read it then."""
        app = self.compressing if scope["type"] == "http" and _accepts_gzip(scope) else self.app
        return app(scope, receive, send)


def _accepts_gzip(scope: Scope) -> bool:
    return any(name == b"accept-encoding" and b"gzip" in value for name, value in scope["headers"])
