"""Gunicorn's worker, and what the workers of a reload know of each other."""

import asyncio
import mmap
import os
import resource
import signal
import sys
from typing import Any

from gunicorn.arbiter import Arbiter
from uvicorn_worker import UvicornWorker

from keel.ops.gunicorn.protocol import LimitedProtocol
from keel.ops.gunicorn.server import FIRST_REQUEST_SECONDS, GracefulServer

SHUTDOWN_SECONDS = 5
"""The part of `graceful_timeout` in which the application shuts down, after its last request."""

SPARE_FILES = 256
"""Files that a worker may have open beside the connections of clients."""


class Scoreboard:
    """Numbers in memory that the master shares with its workers.

    Gunicorn numbers workers in the order in which it forks them, and calls the number `age`. The first two cells are
    the age of the last worker that a reload replaces and the number of its successors; the others hold the ages of
    workers that serve, each at its remainder.
    """

    def __init__(self, slots: int = 1000) -> None:
        self._slots = slots
        # Anonymous shared memory: processes that are forked later see the same cells.
        self._cells = memoryview(mmap.mmap(-1, 4 * (2 + slots))).cast("I")

    def start_reload(self, last: int, successors: int) -> None:
        """Replace the workers up to the age `last`."""
        self._cells[0], self._cells[1] = last, successors

    def mark_ready(self, age: int) -> None:
        """Note that a worker serves."""
        self._cells[2 + age % self._slots] = age

    def awaits_successors(self, age: int) -> bool:
        """Whether a reload replaces this worker and not all successors serve yet."""
        last, successors = self._cells[:2]
        expected = range(last + 1, last + 1 + successors)
        return age <= last and any(self._cells[2 + each % self._slots] != each for each in expected)


scoreboard = Scoreboard()
"""Made in the master, which imports this module before it forks."""


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
        # processor time for each message and listener.
        "ws_max_size": int(os.environ.get("MAX_BODY_SIZE") or 1_048_576),
        "ws_per_message_deflate": False,
        # The path below which a proxy serves the application, and which it takes away.
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
