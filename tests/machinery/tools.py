"""Programs for a test's shell: the installed Copier instead of the index's current one."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from tests.machinery.environment import BYTECODE, uv
from tests.machinery.rendering import ROOT

if TYPE_CHECKING:
    from pathlib import Path

_COPIER = """#!/bin/sh
exec env PYTHONPATH={root} {bytecode} {python} -P -m tests.machinery.fast_copier "$@"
"""
_UV = """#!/bin/sh
if [ "$1 $2 $3" = "tool run copier" ]; then shift 3; exec copier "$@"; fi
exec {uv} "$@"
"""
#: `python3 -m uv`, as if pip had installed uv into another Python.
_PYTHON = """#!/bin/sh
if [ "$1 $2" = "-m uv" ]; then shift 2; exec uv "$@"; fi
exec {python} "$@"
"""


def tools(directory: Path) -> Path:
    """Create a directory with these programs, for the beginning of PATH."""
    if directory.exists():
        return directory
    directory.mkdir(parents=True)
    words = {
        "root": shlex.quote(str(ROOT)),
        "bytecode": shlex.join(f"{name}={value}" for name, value in BYTECODE.items()),
        "python": shlex.quote(sys.executable),
        "uv": shlex.quote(uv()),
    }
    for name, text in (("copier", _COPIER), ("uv", _UV), ("python3", _PYTHON)):
        (directory / name).write_text(text.format(**words), encoding="utf-8")
        (directory / name).chmod(0o755)
    return directory
