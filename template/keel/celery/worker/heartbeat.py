"""A file that a worker or beat touches while it is healthy; liveness probes check its age."""

import tempfile
import time
from pathlib import Path

MAX_AGE = 60.0
"""Seconds after which a heartbeat is too old."""


def _file() -> Path:
    return Path(tempfile.gettempdir()) / "celery-heartbeat"


def touch() -> None:
    """Record a heartbeat."""
    _file().touch()


def is_alive() -> bool:
    """Whether the last heartbeat in this container is recent."""
    try:
        return time.time() - _file().stat().st_mtime < MAX_AGE
    except FileNotFoundError:
        return False
