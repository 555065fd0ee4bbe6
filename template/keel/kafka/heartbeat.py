"""A file that relays and consumers touch while they work; liveness probes check its age.

It is touched before each event of a batch, since every handler may be slow, and while brokers or database do not
answer, since a restart would not help.
"""

import tempfile
import time
from pathlib import Path


def _file() -> Path:
    return Path(tempfile.gettempdir()) / "kafka-heartbeat"


def touch() -> None:
    """Record a heartbeat."""
    _file().touch()


def is_alive(max_age: float) -> bool:
    """Whether the last heartbeat in this container is less than `max_age` seconds old."""
    try:
        return time.time() - _file().stat().st_mtime < max_age
    except FileNotFoundError:
        return False
