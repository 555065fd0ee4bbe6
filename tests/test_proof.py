"""The chaos test in short: `uv run python -m tests.proof` runs all of it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.machinery import selection
from tests.machinery.rendering import ROOT

if TYPE_CHECKING:
    from tests.machinery.resources import Resources


def test_every_promise_is_kept(request: pytest.FixtureRequest, resources: Resources) -> None:
    """With every feature, under load, with processes and servers killed: no acknowledged write is lost or doubled."""
    if not selection.is_full(request.config):
        pytest.skip("runs with --full: it keeps two processors busy for a minute or two")
    assert resources.python.exists()  # the proof uses the same environment
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "tests.proof",
        "--short",
        "--pause",
        "2",
        "--broker",
        "redis",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
