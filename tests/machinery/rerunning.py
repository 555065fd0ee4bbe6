"""One rerun of one test, in a separate pytest process.

It uses the options of the run, without workers, and builds every fixture again: neither a fixture that another test
broke, nor a cached result such as a combination's report, may decide the second outcome.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

#: Seconds for an interrupted rerun to stop its servers.
_PATIENCE = 60


@dataclass(frozen=True)
class Second:
    """The second outcome of a test: exit status (negative: the signal), seconds, output of pytest."""

    status: int
    seconds: float
    output: str

    def __str__(self) -> str:
        """The verdict."""
        verdict = f"failed again with status {self.status}" if self.status else "passed"
        return f"second run, alone: {verdict} in {self.seconds:.1f} s"


def rerun(config: pytest.Config, nodeid: str) -> Second:
    """Run this test alone and return its outcome."""
    with tempfile.TemporaryDirectory(prefix="rerun-") as scratch:
        started, output = time.monotonic(), Path(scratch) / "output"
        with output.open("wb") as file:  # no pipe: a process that outlives the test would keep it open
            status = _run(_command(config, nodeid, scratch), config.invocation_params.dir, file.fileno())
        text = output.read_text(encoding="utf-8", errors="replace")
        return Second(status, time.monotonic() - started, text)


class Rerun:
    """A plugin in the process of a rerun: selects the test. Only a pass counts, not a skip or an expected failure."""

    def __init__(self, nodeid: str) -> None:
        """Take the node id of the test."""
        self._nodeid = nodeid
        self._passed = False

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Deselect all other tests."""
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid != self._nodeid])
        items[:] = [item for item in items if item.nodeid == self._nodeid]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record whether the test passed."""
        self._passed |= report.when == "call" and report.passed

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail if the test did not pass."""
        if session.exitstatus == pytest.ExitCode.OK and not self._passed:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _command(config: pytest.Config, nodeid: str, scratch: str) -> list[str]:
    """Return the run's command for one test, without workers and without overwriting the run's output files."""
    option, plugins = config.option, config.pluginmanager
    command = [sys.executable, "-m", "pytest", *map(os.fspath, config.invocation_params.args)]
    command += [f"--rerun-of={nodeid}", "-rP"]
    command += ["-n0"] if plugins.hasplugin("xdist") else []
    command += [f"--override-ini=cache_dir={scratch}/cache"] if plugins.hasplugin("cacheprovider") else []
    command += [f"--basetemp={option.basetemp}-rerun"] if option.basetemp else []
    command += ["--junit-xml="] if getattr(option, "xmlpath", None) else []
    return command


def _run(command: list[str], directory: Path, output: int) -> int:
    """Run to the end; forward an interrupt once, so that the test can clean up."""
    process = subprocess.Popen(
        command,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_PATIENCE)
        finally:
            process.kill()
        raise
