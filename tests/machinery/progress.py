"""The progress of a run through the combinations, and its summary."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tests.machinery.rendering import NAMED, ROOT
from tests.machinery.spending import ByFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pytest

#: The property with which a combination's test passes on its report.
PROPERTY = "combination"
#: Seconds between two lines of progress.
_PACE = 15.0


class Progress:
    """A plugin of the main process."""

    def __init__(self, config: pytest.Config, count: int, earlier: Mapping[str, Mapping[str, Any]]) -> None:
        """Expect a number of combinations; some tests may have passed in an earlier, interrupted run."""
        self._config = config
        self._count = count
        self._earlier = earlier
        told = [properties[PROPERTY] for properties in earlier.values() if PROPERTY in properties]
        self._found: dict[str, dict[str, Any]] = {each["id"]: each for each in told}
        self._spent = ByFile()
        self._failed: dict[str, str] = {}
        self._started = self._spoke = time.monotonic()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Report failures at once, record results, and print the progress."""
        self._spent.add(report)
        if report.failed:
            self._say(f"FAILED {report.nodeid}\n{_tail(report.longreprtext)}")
        told = dict(report.user_properties).get(PROPERTY)
        if report.when != "call" or not isinstance(told, dict):
            return
        self._found[told["id"]] = told
        if report.failed:
            self._failed[told["id"]] = told["reproduce"]
        now = time.monotonic()
        if now - self._spoke >= _PACE:
            self._spoke = now
            self._say(
                f"{len(self._found)} of {self._count} combinations, {len(self._failed)} failed, "
                f"{now - self._started:.0f} s"
            )

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the cost of combinations, and how to reproduce failures."""
        if self._earlier:
            terminalreporter.write_line(
                f"{len(self._earlier)} tests passed earlier, in a run that was resumed"
            )
        terminalreporter.write_line(f"CPU by file, setting up shared things aside: {self._spent.told()}")
        own = [told for told in self._found.values() if not told["same_as"]]
        if not own:
            return
        dearest = max(own, key=lambda told: told["cpu"])
        seconds = time.monotonic() - self._started
        tests = sum(told["tests"] for told in own)
        terminalreporter.write_line(
            f"{len(self._found)} combinations in {seconds:.0f} s; {len(own)} differ in Python; "
            f"{tests} of their own tests passed"
        )
        terminalreporter.write_line(f"most expensive suite: {dearest['cpu']:.2f} s of CPU ({dearest['id']})")
        terminalreporter.write_line(f"CPU by stage: {_sums(self._found.values())}")
        terminalreporter.write_line(f"reused: {len(self._found) - len(own)} combinations the same in Python")
        files = [sum(told["files"].get(key, 0) for told in own) for key in ("left", "all")]
        terminalreporter.write_line(
            f"shared out: {files[0]} of {files[1]} test files of these are run by other combinations"
        )
        failed = {
            dict(one.user_properties).get(PROPERTY, {}).get("id")
            for one in terminalreporter.stats.get("failed", ())
        }
        for name, command in self._failed.items():
            word = "FAILED" if name in failed else "FLAKY"  # it passed on rerun
            terminalreporter.write_line(f"{word} {name}: {command}")

    def _say(self, text: str) -> None:
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        if terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(text)


def _sums(told: Iterable[Mapping[str, Any]]) -> str:
    """Return the total cost of stages, most expensive first."""
    total: dict[str, float] = {}
    for name, seconds in (item for each in told for item in each["stages"].items()):
        total[name] = total.get(name, 0.0) + seconds
    dearest = sorted(total, key=total.__getitem__, reverse=True)
    return ", ".join(f"{name} {total[name]:.0f} s" for name in dearest)


def _tail(text: str, lines: int = 40) -> str:
    return "\n".join(text.splitlines()[-lines:])


def reproduce(answers: Mapping[str, object], destination: str = "/tmp/keel-result") -> str:  # noqa: S108 - shown
    """Return a shell command that copies this combination and runs its tests."""
    everything = {**NAMED, **answers}
    data = " ".join(f"--data {name}={_shell(value)}" for name, value in everything.items())
    return (
        f"rm -rf {destination} && uvx copier copy --vcs-ref=HEAD --defaults {data} {ROOT} {destination} "
        f"&& cd {destination} && uv run pytest"
    )


def _shell(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return f"'{text}'" if " " in text else text
