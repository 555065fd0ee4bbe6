"""Gunicorn's worker: Uvicorn's server with a graceful shutdown, and coordination of workers during a reload."""

import asyncio
import mmap
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from gunicorn.arbiter import Arbiter
from uvicorn import Config, Server
from uvicorn_worker import UvicornWorker

from keel.ops.gunicorn.protocol import LimitedProtocol

DRAIN_SECONDS = 1.0
"""How long clients with idle keep-alive connections get one more response, with `Connection: close`."""

FIRST_REQUEST_SECONDS = 5.0
"""How long new connections may take to send their first request."""

SUCCESSOR_SECONDS = 25.0
"""How long a worker that is being replaced keeps serving if its successors do not start."""

TICKS = 10
"""Ticks of a tenth of a second between two checks of the connections."""

SHUTDOWN_SECONDS = 5
"""The part of `graceful_timeout` in which the application shuts down, after its last request."""

SPARE_FILES = 256
"""Files that a worker may have open in addition to client connections."""


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
        """Start, then install a SIGTERM handler that runs before the application's, which ends streams."""
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
        """Stop when the successors serve; close connections that exceed a time limit."""
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


class Scoreboard:
    """Numbers in memory shared by the master and its workers.

    Gunicorn numbers workers in the order in which it forks them, and calls the number `age`. The first two cells are
    the age of the last worker that a reload replaces and the number of its successors; the others contain the ages of
    serving workers, each at its age modulo their count.
    """

    def __init__(self, slots: int = 1000) -> None:
        self._slots = slots
        # Anonymous shared memory: processes forked later see the same cells.
        self._cells = memoryview(mmap.mmap(-1, 4 * (2 + slots))).cast("I")

    def start_reload(self, last: int, successors: int) -> None:
        """Replace the workers up to the age `last`."""
        self._cells[0], self._cells[1] = last, successors

    def mark_ready(self, age: int) -> None:
        """Record that a worker serves."""
        self._cells[2 + age % self._slots] = age

    def awaits_successors(self, age: int) -> bool:
        """Whether a reload replaces this worker and not all successors serve yet."""
        last, successors = self._cells[:2]
        expected = range(last + 1, last + 1 + successors)
        return age <= last and any(self._cells[2 + each % self._slots] != each for each in expected)


scoreboard = Scoreboard()
"""Created in the master, which imports this module before it forks."""


def on_reload(server: Any) -> None:
    """Handle Gunicorn's hook: a reload begins, and the new workers are not forked yet."""
    scoreboard.start_reload(server.worker_age, server.cfg.workers)


class Worker(UvicornWorker):
    """Uvicorn's worker with a graceful server, which stops in time to shut the application down."""

    CONFIG_KWARGS: dict[str, Any] = {  # noqa: RUF012 - as in the base class
        **UvicornWorker.CONFIG_KWARGS,
        "access_log": False,
        "server_header": False,
        "http": LimitedProtocol,
        # A WebSocket message may be as large as a body. Compression would cost memory for each connection, and
        # CPU time for each message and listener.
        "ws_max_size": int(os.environ.get("MAX_BODY_SIZE") or 1_048_576),
        "ws_per_message_deflate": False,
        # The path prefix of a proxy, which strips it.
        "root_path": os.environ.get("ROOT_PATH", "").rstrip("/"),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.config.limit_concurrency = self.cfg.worker_connections
        self.config.timeout_graceful_shutdown = (
            self.cfg.graceful_timeout - SHUTDOWN_SECONDS - int(FIRST_REQUEST_SECONDS)
        )

    def run(self) -> None:
        """Serve until the worker is stopped."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = self.cfg.worker_connections + SPARE_FILES
        if soft != resource.RLIM_INFINITY and soft < needed:
            resource.setrlimit(
                resource.RLIMIT_NOFILE, (needed if hard == resource.RLIM_INFINITY else min(needed, hard), hard)
            )
        with asyncio.Runner(loop_factory=self.config.get_loop_factory()) as runner:
            runner.run(self.serve())

    async def serve(self) -> None:
        """Serve; exit with Gunicorn's code for a failed boot if the application does not start."""
        self.config.app = self.wsgi
        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, self.handle_exit, signal.SIGQUIT, None)
        server = GracefulServer(
            self.config,
            on_ready=lambda: scoreboard.mark_ready(self.age),
            awaits_successors=lambda: scoreboard.awaits_successors(self.age),
        )
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
