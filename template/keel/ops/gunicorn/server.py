"""Uvicorn's server with a graceful shutdown that breaks no connection."""

import asyncio
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from uvicorn import Config, Server

from keel.ops.gunicorn.protocol import LimitedProtocol

DRAIN_SECONDS = 1.0
"""How long clients with idle keep-alive connections get one more answer, with `Connection: close`."""

FIRST_REQUEST_SECONDS = 5.0
"""How long new connections may take to send their first request."""

SUCCESSOR_SECONDS = 25.0
"""How long a worker that is being replaced keeps serving if its successors do not start."""

TICKS = 10
"""Ticks, of a tenth of a second, between two looks at the connections."""


class GracefulServer(Server):
    """A server that keeps serving until its successors do, and answers connected clients before it stops.

    On a reload Gunicorn stops the old workers as soon as it has forked new ones, which take seconds to start. On
    shutdown Uvicorn closes connections without a request in progress, though a request may be on its way.
    """

    def __init__(self, config: Config, *, on_ready: Callable[[], None], awaits_successors: Callable[[], bool]) -> None:
        """Call `on_ready` once requests are served; ignore SIGTERM for a while as long as `awaits_successors()`."""
        super().__init__(config)
        self._on_ready = on_ready
        self._awaits_successors = awaits_successors
        self._deadline: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then put a SIGTERM handler before the application's, which ends streams."""
        await super().startup(sockets)
        self._on_ready()
        self._stop: Any = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, self._on_sigterm)

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        """Stop; during a reload, only once the successors serve. A second signal stops at once."""
        if self._deadline is None and self._awaits_successors():
            self._deadline = time.monotonic() + SUCCESSOR_SECONDS
        else:
            self._stop(number, frame)

    async def on_tick(self, counter: int) -> bool:
        """Stop when the successors serve; close connections whose time is up."""
        if self._deadline is not None and not (self._awaits_successors() and time.monotonic() < self._deadline):
            signal.raise_signal(signal.SIGTERM)
        if counter % TICKS == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, LimitedProtocol):
                    connection.check(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, accept queued connections, answer with `Connection: close` for a while, then stop."""
        listeners = [listener.dup() for listener in sockets or []]
        for server in self.servers:
            server.close()
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        # When the last process closes a listener, the kernel resets the connections in its accept queue.
        for connection in [connection for listener in listeners for connection in _accept_all(listener)]:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection, ssl=self.config.ssl)
        begun = time.monotonic()
        while self._has_pending_clients(time.monotonic() - begun):  # noqa: ASYNC110 - Uvicorn has no event for it
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        protocol: Any = self.config.http_protocol_class
        return protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    def _has_pending_clients(self, seconds: float) -> bool:
        """Whether a connected client may still send a request, `seconds` after the last connection was accepted."""
        connections = self.server_state.connections
        if seconds < DRAIN_SECONDS:
            return bool(connections)
        # `cycle` is None in Uvicorn's HTTP protocols before the first request; WebSocket protocols have no `cycle`.
        return seconds < FIRST_REQUEST_SECONDS and any(getattr(each, "cycle", each) is None for each in connections)


def _accept_all(listener: socket.socket) -> list[socket.socket]:
    """Return the connections in the accept queue of a non-blocking listener, and close it."""
    accepted: list[socket.socket] = []
    with listener, suppress(OSError):  # the queue is empty
        while True:
            connection, _ = listener.accept()
            connection.setblocking(False)  # noqa: FBT003 - its name
            accepted.append(connection)
    return accepted
