"""Compression of answers."""

from fastapi.middleware.gzip import GZipMiddleware
from starlette.types import Receive, Scope, Send


class CompressionMiddleware(GZipMiddleware):
    """Starlette's, which only callers pay for who accept compressed answers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Compress the answer if the caller can read it then."""
        if scope["type"] == "http" and _accepts_gzip(scope):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _accepts_gzip(scope: Scope) -> bool:
    return any(name == b"accept-encoding" and b"gzip" in value for name, value in scope["headers"])
