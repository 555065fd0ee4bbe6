"""The open connections of this process: how many each caller has, and closing all of them at shutdown."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol

from fastapi import APIRouter, FastAPI

from keel.background.asyncio_tasks import spawn, stop
from keel.background.shutdown import Shutdown
from keel.services import services_of
from keel.web.errors import TooManyRequests
from keel.web.rate_limit import RateLimit
from keel.websockets.frames import CloseCode
from keel.websockets.settings import WebSocketsSettings


class Closable(Protocol):
    """The interface of a connection that the registry uses."""

    def close(self, code: CloseCode) -> None:
        """Send the queued frames, then close."""


class ConnectionRegistry:
    """The open connections of this process."""

    def __init__(self, settings: WebSocketsSettings) -> None:
        self.settings = settings
        self.connections: set[Closable] = set()
        self.guest_rate_limit = RateLimit("")
        """Counts the frames of guests, by connection and in this process only."""
        self.draining = False
        """Whether handshakes are refused because the process is about to stop."""
        self._per_caller: Counter[str] = Counter()

    def acquire(self, caller: str) -> None:
        """Count a connection of a caller until `release`.

        Raises:
            TooManyRequests: the caller has `WEBSOCKETS_MAX_PER_CALLER` connections.
        """
        if self._per_caller[caller] >= self.settings.max_per_caller:
            raise TooManyRequests("Too many connections; close one first.", headers={"Retry-After": "10"})
        self._per_caller[caller] += 1

    def release(self, caller: str) -> None:
        """Stop counting a connection."""
        self._per_caller[caller] -= 1
        if not self._per_caller[caller]:
            del self._per_caller[caller]

    async def drain_on(self, shutdown: Shutdown) -> None:
        """Drain when the process begins to stop: a server waits for open connections before it ends the lifespan."""
        await shutdown.wait()
        self.drain()

    def drain(self) -> None:
        """Refuse handshakes from now on, and close every connection (1012)."""
        self.draining = True
        for connection in list(self.connections):
            connection.close(CloseCode.SERVICE_RESTART)


def install_registry(app: FastAPI) -> None:
    """Add the registry to the services."""
    services = services_of(app)
    registry = services.websockets = ConnectionRegistry(WebSocketsSettings.load())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        registry.draining = False
        task = spawn(registry.drain_on(services.shutdown))
        try:
            yield
        finally:
            await stop(task)
            registry.drain()

    app.include_router(APIRouter(lifespan=lifespan))
