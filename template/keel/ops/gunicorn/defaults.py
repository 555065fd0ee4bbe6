"""Values of Gunicorn's settings that depend on the machine and the environment."""

import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog


def usable_cpus(cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the number of CPUs that this process may use: the container's quota, rounded up, or the machine's.

    A quota is microseconds per period: `150000 100000` is one and a half CPUs. `max` and `-1` mean no limit.
    """
    present = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):  # cgroup v2, cgroup v1
        with suppress(OSError, ValueError):
            quota, period = " ".join((cgroups / name).read_text(encoding="ascii") for name in names).split()
            if int(quota) > 0:
                return max(1, min(present, math.ceil(int(quota) / int(period))))
    return present


def log_config(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return `logconfig_dict`: JSON in the shape of the application's lines, or Gunicorn's own format (empty).

    `LOG_FORMAT`, `LOG_LEVEL` and `ENVIRONMENT` have the meaning that they have in the application.
    """
    chosen, local = environ.get("LOG_FORMAT", "auto"), environ.get("ENVIRONMENT", "local") == "local"
    if chosen != "json" and (chosen != "auto" or local):
        return {}
    level = environ.get("LOG_LEVEL", "info").upper()
    return {
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": [
                    structlog.stdlib.add_log_level,
                    structlog.stdlib.add_logger_name,
                    structlog.processors.TimeStamper(fmt="iso", utc=True),
                ],
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    structlog.processors.JSONRenderer(),
                ],
            }
        },
        "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}},
        "root": {"handlers": ["stdout"], "level": "INFO"},
        "loggers": {"gunicorn.error": {"handlers": ["stdout"], "propagate": False, "level": level}},
    }
