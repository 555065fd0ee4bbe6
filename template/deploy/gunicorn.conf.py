"""Gunicorn's settings: `gunicorn --config deploy/gunicorn.conf.py app.main:app`.

Read from the environment: `WEB_CONCURRENCY` (worker processes; unset: one for each CPU that this process may use),
`PORT`, `MAX_BODY_SIZE`, `FORWARDED_ALLOW_IPS` (the proxies whose `X-Forwarded-*` headers are believed), and as in the application
`ENVIRONMENT`, `LOG_LEVEL` and `LOG_FORMAT`.
"""

import asyncio
import json
import logging
import math
import mmap
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from gunicorn.arbiter import Arbiter
from uvicorn import Config, Server
from uvicorn_worker import UvicornWorker


def usable_cpus(cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many CPUs this process may use: a container's quota, rounded up, else what the machine has.

    A quota is microseconds in a period: `150000 100000` is one and a half CPUs. `max` and `-1` are no limit.
    """
    present = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):  # cgroup v2, cgroup v1
        with suppress(OSError, ValueError):
            quota, period = " ".join((cgroups / name).read_text(encoding="ascii") for name in names).split()
            if int(quota) > 0:
                return max(1, min(present, math.ceil(int(quota) / int(period))))
    return present


class JsonFormatter(logging.Formatter):
    """Writes a line in the shape of the application's own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one JSON object."""
        line = {
            "event": record.getMessage(),
            "logger": record.name,
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


bind = f"0.0.0.0:{os.environ.get('PORT', '8000')}"
workers = int(os.environ.get("WEB_CONCURRENCY") or usable_cpus())
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")

# Longer than the idle timeout of common load balancers (60 s): they, not we, close a connection that they may be using.
keepalive = 75

# On SIGTERM a worker finishes what it has begun. Whoever stops Gunicorn (Compose, Kubernetes) waits longer than this.
graceful_timeout = 30

# The part of it in which clients with open connections are answered once more and told to connect anew; and the part in
# which clients that have connected, but have asked for nothing yet, are waited for.
DRAIN_SECONDS = 1.0
FIRST_REQUEST_SECONDS = 5.0

# How long a worker that is reloaded serves on for want of its successors.
SUCCESSOR_SECONDS = 25.0

# A worker whose event loop has not run for this many seconds is killed and replaced.
timeout = 30

# Recycling bounds what a leak can cost, at different times so that workers do not leave together. A worker that is alone
# would leave nobody to answer meanwhile.
max_requests = 100_000 if workers > 1 else 0
max_requests_jitter = max_requests // 10

# Heartbeats are written to memory: on a slow disk they would block a worker, which would then be killed.
memory = Path("/dev/shm")  # noqa: S108 - Gunicorn makes a nameless file in it
worker_tmp_dir = str(memory) if memory.is_dir() else None

# The application writes one line for each request; Gunicorn writes about its processes only.
accesslog = None
loglevel = os.environ.get("LOG_LEVEL", "info").lower()
log_format = os.environ.get("LOG_FORMAT", "auto")
if log_format == "json" or (log_format == "auto" and os.environ.get("ENVIRONMENT", "local") != "local"):
    logconfig_dict = {
        "formatters": {"json": {"()": JsonFormatter}},
        "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}},
        "root": {"handlers": ["stdout"], "level": "INFO"},
        "loggers": {"gunicorn.error": {"handlers": ["stdout"], "propagate": False, "level": loglevel.upper()}},
    }

# It would need a home directory to write to.
control_socket_disable = True


SLOTS = 1000


def board(server: Any) -> memoryview:
    """Return numbers that the master shares with its workers.

    The age of the last worker that a reload replaces, how many take their places, then the ages of workers that serve,
    each in the slot that its remainder names. Gunicorn counts workers, and calls that their age.
    """
    if not hasattr(server, "board"):
        server.board = memoryview(mmap.mmap(-1, 4 * (2 + SLOTS))).cast("I")
    return server.board


def on_reload(server: Any) -> None:
    """Let the workers that serve now know whom they wait for; called before the new ones are forked."""
    board(server)[0] = server.worker_age
    board(server)[1] = server.cfg.workers


def pre_fork(server: Any, worker: Any) -> None:
    """Give a worker the board."""
    worker.board = board(server)


class GracefulServer(Server):
    """Uvicorn's server, which serves until its successor does, and answers whoever is connected before it leaves.

    Gunicorn stops the workers that it reloads as soon as it has forked new ones, which take seconds to begin. Uvicorn
    closes connections that have no request at that moment, though it may be on its way.
    """

    def __init__(self, config: Config, worker: "Worker") -> None:
        super().__init__(config)
        self._worker = worker
        self._latest: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then stand before the application's handler of SIGTERM, which lets streams end."""
        await super().startup(sockets)
        self._worker.show_serving()
        self._leave: Any = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, self._on_sigterm)

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        """Leave; once a reload has brought the successors up, if it is one. Told twice: now."""
        if self._latest is None and self._worker.awaits_successors:
            self._latest = time.monotonic() + SUCCESSOR_SECONDS
        else:
            self._leave(number, frame)

    async def on_tick(self, counter: int) -> bool:
        """Leave when the successors serve."""
        if self._latest is not None and not (self._worker.awaits_successors and time.monotonic() < self._latest):
            signal.raise_signal(signal.SIGTERM)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing more, ask each client to come back on another connection, wait for that a little, then stop."""
        listeners = [listener.dup() for listener in sockets or []]
        for server in self.servers:
            server.close()
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        # The last worker to close a listener resets whoever still waits at it.
        for waiting in [self._waiting(listener) for listener in listeners]:
            for connection in waiting:
                await asyncio.get_running_loop().connect_accepted_socket(
                    self._protocol, connection, ssl=self.config.ssl
                )
        begun = time.monotonic()
        while self._is_needed(time.monotonic() - begun):  # noqa: ASYNC110 - uvicorn keeps no event
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    @staticmethod
    def _waiting(listener: socket.socket) -> list[socket.socket]:
        found: list[socket.socket] = []
        with listener, suppress(OSError):  # there is nobody more
            while True:
                connection, _ = listener.accept()
                connection.setblocking(False)  # noqa: FBT003 - its name
                found.append(connection)
        return found

    def _protocol(self) -> asyncio.Protocol:
        protocol: Any = self.config.http_protocol_class
        return protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    def _is_needed(self, seconds: float) -> bool:
        """Whether somebody is connected who may want something, so many seconds after the last was accepted."""
        connections = self.server_state.connections
        if seconds < DRAIN_SECONDS:
            return bool(connections)
        # Uvicorn's protocols for HTTP have no cycle before their first request; one of a WebSocket has no such thing.
        return seconds < FIRST_REQUEST_SECONDS and any(getattr(each, "cycle", each) is None for each in connections)


class Worker(UvicornWorker):
    """Uvicorn's worker, which ends what still runs in time to shut the application down before Gunicorn kills it."""

    board: memoryview

    CONFIG_KWARGS: dict[str, Any] = {  # noqa: RUF012 - as in the base class
        **UvicornWorker.CONFIG_KWARGS,
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": graceful_timeout - 5 - FIRST_REQUEST_SECONDS,
        # A message over a socket may be as large as a body. Compressing would cost each connection memory of its own,
        # and each message the work again for every listener.
        "ws_max_size": int(os.environ.get("MAX_BODY_SIZE") or 1_048_576),
        "ws_per_message_deflate": False,
    }

    @property
    def awaits_successors(self) -> bool:
        """Whether a reload replaces this worker, and those that come do not all serve yet."""
        last, count = self.board[:2]
        coming = range(last + 1, last + 1 + count)
        return self.age <= last and any(self.board[2 + age % SLOTS] != age for age in coming)

    def show_serving(self) -> None:
        """Let those who wait for this worker know that it serves."""
        self.board[2 + self.age % SLOTS] = self.age

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        self._install_sigquit_handler()
        server = GracefulServer(self.config, self)
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


worker_class = Worker
