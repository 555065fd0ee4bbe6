"""Values of Gunicorn's settings that depend on the machine and the environment."""

import math
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import IPv4Network
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


def bind_address(port: str) -> str:
    """Return all addresses of this machine: IPv6, which includes IPv4, or IPv4 if there is no IPv6."""
    with suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        probe.bind(("::", 0))
        if not probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
            return f"[::]:{port}"
    return f"0.0.0.0:{port}"


def trusted_proxies(listed: str) -> str:
    """Return addresses and networks of proxies, IPv4 ones also in the IPv4-mapped form (RFC 4291, 2.5.5.2)."""
    proxies = [proxy.strip() for proxy in listed.split(",") if proxy.strip()]
    mapped = []
    for proxy in proxies:
        with suppress(ValueError):
            network = IPv4Network(proxy)
            mapped.append(f"::ffff:{network.network_address}/{96 + network.prefixlen}")
    return ",".join([*proxies, *mapped])


def log_config(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return `logconfig_dict`: JSON like the application's lines, or Gunicorn's own format (empty).

    `LOG_FORMAT`, `LOG_LEVEL` and `ENVIRONMENT` have the same meaning as in the application.
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
