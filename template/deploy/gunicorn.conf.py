"""Gunicorn's settings: `gunicorn --config deploy/gunicorn.conf.py app.main:app`.

Read from the environment: `WEB_CONCURRENCY` (worker processes; unset: one for each CPU that this process may use),
`PORT`, `FORWARDED_ALLOW_IPS` (the proxies whose `X-Forwarded-*` headers are believed), and as in the application
`ENVIRONMENT`, `LOG_LEVEL` and `LOG_FORMAT`.
"""

import json
import logging
import math
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from uvicorn_worker import UvicornWorker


def usable_cpus(quota_file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return how many CPUs this process may use: a container's quota (cgroup v2), else what the machine has.

    The file holds microseconds in a period, `150000 100000` for one and a half CPUs, or `max 100000` for no limit.
    """
    present = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = quota_file.read_text(encoding="ascii").split()
        return max(1, min(present, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
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


class Worker(UvicornWorker):
    """Uvicorn's worker, which ends what still runs in time to shut the application down before Gunicorn kills it."""

    CONFIG_KWARGS: dict[str, Any] = {  # noqa: RUF012 - as in the base class
        **UvicornWorker.CONFIG_KWARGS,
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": graceful_timeout - 5,
    }


worker_class = Worker
