"""A file that a relay or a consumer touches while it works; liveness probes check its age.

It is touched before each event of a batch, whose handlers may all be slow, and while brokers or database do not answer: a
restart would not bring them back.
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
    """Whether the last heartbeat in this container was less than so many seconds ago."""
    try:
        return time.time() - _file().stat().st_mtime < max_age
    except FileNotFoundError:
        return False
