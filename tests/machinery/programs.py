"""System programs that tests put in front of a project; a missing one skips the test."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.machinery.serving import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path


def program(name: str) -> str:
    """Return the path of a program, searching system directories too; skip the test if it is missing."""
    found = shutil.which(
        name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    )
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, answers: Callable[[], object]) -> Generator[None]:
    """Run a program while the block runs; the block begins once `answers` raises no `OSError`."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            _wait(process, log, answers)
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _wait(process: subprocess.Popen[bytes], log: Path, answers: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            answers()
        except OSError as error:
            said = f"{error}:\n{log.read_text(encoding='utf-8', errors='replace')}"
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.02)
        else:
            return
