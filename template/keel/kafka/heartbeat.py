"""A file that a relay or a consumer touches while it works; liveness probes check its age.

It is touched while brokers or database do not answer, too: a restart would not bring them back.
"""

import tempfile
import time
from pathlib import Path

MAX_AGE = 120.0
"""Seconds; longer than a batch may take."""


def _file() -> Path:
    return Path(tempfile.gettempdir()) / "kafka-heartbeat"


def touch() -> None:
    """Record a heartbeat."""
    _file().touch()


def is_alive() -> bool:
    """Whether the last heartbeat in this container is recent."""
    try:
        return time.time() - _file().stat().st_mtime < MAX_AGE
    except FileNotFoundError:
        return False
