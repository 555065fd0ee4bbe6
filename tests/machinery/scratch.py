"""Temporary files in memory, if there is room: on ext4, creating one can take a millisecond of CPU time."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - that is its point
#: Bytes that must be free, both there and in memory: several times what a run has needed at most.
ROOM = 10 * 2**30


def use_memory() -> None:
    """Create the temporary files of this process and its subprocesses in memory, unless TMPDIR says where."""
    if "TMPDIR" not in os.environ and _is_suitable(MEMORY):
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)
        # uv's cache is on another file system, so links are impossible.
        os.environ.setdefault("UV_LINK_MODE", "copy")


def free_memory(place: Path) -> None:
    """Delete the temporary files of a run that has passed if they are in memory."""
    if os.environ.get("TMPDIR") == str(MEMORY) and place.is_relative_to(MEMORY):
        shutil.rmtree(place, ignore_errors=True)


def keep_bytecode() -> None:
    """Let this process and its subprocesses keep the bytecode of what they import, which the shell may forbid.

    Otherwise each of some hundred processes compiles its libraries again, for 1 to 3 seconds.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def _is_suitable(place: Path) -> bool:
    """Whether anyone may write there, programs may be run from there, and there is room."""
    if sys.platform != "linux" or not os.access(place, os.W_OK | os.X_OK):
        return False
    if os.statvfs(place).f_flag & os.ST_NOEXEC:  # as in containers
        return False
    return min(shutil.disk_usage(place).free, _available()) >= ROOM


def _available() -> int:
    """Return the memory that can be used without swapping, in bytes (proc_meminfo(5))."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return 0
