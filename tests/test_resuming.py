"""A run that was interrupted is resumed: what has passed is not run again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.machinery.rendering import ROOT

if TYPE_CHECKING:
    from pathlib import Path

CONFTEST = """
from tests.machinery import resuming

def pytest_addoption(parser):
    resuming.add_options(parser)

def pytest_configure(config):
    config.pluginmanager.register(resuming.Resuming(config))
"""
SUITE = """
import os
import pytest

def test_passes(record_property):
    record_property("found", 1)

def test_interrupted():
    assert "READY" in os.environ

@pytest.mark.skip
def test_skipped():
    pass
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A test that passes, and one that fails at first."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (tmp_path / "test_it.py").write_text(SUITE, encoding="utf-8")
    return tmp_path


def run(
    suite: Path, *options: str, record: tuple[str, ...] = ("--resume=passed",), **variables: str
) -> tuple[int, str]:
    """Run the suite with a record; return pytest's status and output."""
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "xdist",
            *record,
            "-p",
            "no:cacheprovider",
            *options,
        ],
        cwd=suite,
        env={**os.environ, **variables, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.returncode, result.stdout + result.stderr


@pytest.mark.parametrize("processes", ["-n0", "-n2"])
def test_only_what_has_not_passed_is_run_again(suite: Path, processes: str) -> None:
    """Its properties are in the record."""
    status, said = run(suite, processes)
    assert (status, "1 failed, 1 passed, 1 skipped" in said) == (1, True), said
    (_, line) = (suite / "passed").read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == {"test": "test_it.py::test_passes", "properties": {"found": 1}}

    status, said = run(suite, processes, READY="yes")

    assert (status, "1 passed, 1 skipped" in said) == (0, True), said
    assert len((suite / "passed").read_text(encoding="utf-8").splitlines()) == 3


def test_another_state_of_the_tree_is_refused(suite: Path) -> None:
    """What passed then may fail now."""
    (suite / "passed").write_text('{"tree": "another"}\n', encoding="utf-8")

    status, said = run(suite, "-n0")

    assert status == pytest.ExitCode.USAGE_ERROR
    assert "passed belongs to another state of the working tree; delete it to start again" in said


def test_the_file_belongs_to_the_option(suite: Path) -> None:
    """As a word of its own, pytest would look for tests beside it."""
    status, said = run(suite, "-n0", record=("--resume", "passed"))

    assert status == pytest.ExitCode.USAGE_ERROR
    assert "Write --resume=passed" in said
