"""A pytest plugin: rerun a failed test once, alone, after all others; if it then passes, the run is green."""

from __future__ import annotations

import argparse
import traceback
from typing import TYPE_CHECKING

import pytest

from tests.machinery.rerunning import Rerun, rerun

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.machinery.rerunning import Second

#: More failures than this are not flaky.
MOST = 3
_SHARED = "teardown of a shared fixture"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--no-rerun`, and an internal option for the process of a rerun."""
    group = parser.getgroup("flaky")
    group.addoption("--no-rerun", action="store_true", help="do not rerun failed tests at the end of the run")
    group.addoption("--rerun-of", metavar="NODEID", help=argparse.SUPPRESS)


def pytest_configure(config: pytest.Config) -> None:
    """Rerun tests from the main process only, not from workers or reruns."""
    if nodeid := config.getoption("rerun_of"):
        config.pluginmanager.register(Rerun(nodeid))
    elif not (config.getoption("no_rerun") or config.getoption("usepdb") or hasattr(config, "workerinput")):
        config.pluginmanager.register(Reruns(config))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Mark failures in the teardown of shared fixtures, which may be caused by any test."""
    report = yield
    if call.excinfo is not None and _in_shared_teardown(call.excinfo.value):
        report.user_properties.append((_SHARED, True))
    return report


def _in_shared_teardown(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(map(_in_shared_teardown, error.exceptions))
    return any(
        frame.f_code is pytest.FixtureDef.finish.__code__ and frame.f_locals["self"].scope != "function"
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )


class Reruns:
    """Collects the failures of a run, reruns them and changes the exit status."""

    def __init__(self, config: pytest.Config) -> None:
        """Take the configuration of the run."""
        self._config = config
        self._reported: set[str] = set()
        self._failed: dict[str, list[pytest.TestReport]] = {}
        self._second: dict[str, Second] = {}
        self._note = ""

    @pytest.hookimpl(tryfirst=True)  # before the terminal, which changes the outcome of a test with subtests
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record what ran and what failed: setup, call, teardown, or a crashed worker."""
        self._reported.add(report.nodeid)
        if report.failed and not hasattr(report, "wasxfail"):
            self._failed.setdefault(report.nodeid, []).append(report)

    @pytest.hookimpl(trylast=True)  # by now the workers have ended
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Rerun failed tests, unless the run was stopped early or fails anyway."""
        stopped = (
            session.shouldfail or session.shouldstop or session.exitstatus != pytest.ExitCode.TESTS_FAILED
        )
        if stopped or not self._failed:
            return
        if reason := self._hopeless(session):
            self._note = f"No test was rerun: {reason}."
            return
        try:
            for nodeid in self._failed:
                self._second[nodeid] = self._rerun(nodeid)
        except KeyboardInterrupt:
            self._note = "The reruns were interrupted."
            session.exitstatus = pytest.ExitCode.INTERRUPTED
        else:
            if not any(second.status for second in self._second.values()):
                session.exitstatus = pytest.ExitCode.OK
        self._move_statistics()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show both outputs of each rerun test; the first one, if it counts, is under FAILURES or ERRORS."""
        if not self._second and not self._note:
            return
        terminalreporter.section("flaky")
        for nodeid, second in self._second.items():
            terminalreporter.section(nodeid, "_")
            if not second.status:
                terminalreporter.write_line("first run:")
                terminalreporter.write_line("\n".join(map(_text, self._failed[nodeid])))
            terminalreporter.write_line(str(second))
            terminalreporter.write_line(second.output)
        if self._note:
            terminalreporter.write_line(self._note)
        if flaky := [nodeid for nodeid, second in self._second.items() if not second.status]:
            terminalreporter.section("flaky: summary", "_")
            for nodeid in flaky:
                terminalreporter.write_line(f"FLAKY {nodeid}")
            terminalreporter.write_line("A flaky test is a bug: fix it.")

    def _hopeless(self, session: pytest.Session) -> str:
        """Return why the run fails regardless of reruns; empty if it need not."""
        if len(self._failed) > MOST:
            return f"{len(self._failed)} failed, which is more than {MOST}"
        if len(self._reported) != session.testscollected:
            return "not every test has run"
        reports = [report for reports in self._failed.values() for report in reports]
        if len(reports) != session.testsfailed:
            return "there are errors outside tests"
        if any(_SHARED in dict(report.user_properties) for report in reports):
            return "the teardown of a shared fixture failed, which no single test can repeat"
        return ""

    def _rerun(self, nodeid: str) -> Second:
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        if terminal is not None:
            terminal.write_line(f"\nRerunning alone: {nodeid}")
        return rerun(self._config, nodeid)

    def _move_statistics(self) -> None:
        """Count tests that passed on rerun as flaky instead of failed."""
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        flaky = {nodeid: self._failed[nodeid] for nodeid, second in self._second.items() if not second.status}
        if terminal is None or not flaky:
            return
        for category in ("failed", "error"):
            reports = terminal.stats.pop(category, [])
            if left := [report for report in reports if report.nodeid not in flaky]:
                terminal.stats[category] = left
        terminal.stats["flaky"] = [reports[0] for reports in flaky.values()]


def _text(report: pytest.TestReport) -> str:
    captured = (f"--- {name} ---\n{content}" for name, content in report.sections)
    return "\n".join((f"{report.when}:", report.longreprtext, *captured))
