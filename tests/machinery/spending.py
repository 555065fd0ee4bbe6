"""CPU time of tests and of the stages of an examination, including subprocesses."""

from __future__ import annotations

import contextlib
import resource
from typing import TYPE_CHECKING

from tests.machinery.warm import WarmProcess

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    import pytest


#: The report property with the cost of each phase of a test.
PROPERTY = "cpu"


def spent() -> float:
    """Return the CPU seconds of this process and its finished subprocesses."""
    total = WarmProcess.spent
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return total


class Spending:
    """Adds up the cost of stages by name."""

    def __init__(self, warm: WarmProcess) -> None:
        """Take the warm process that stages use: only it knows the cost of its jobs."""
        self.warm = warm
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def stage(self, name: str) -> Generator[None]:
        """Count the CPU time of this block."""
        before = spent()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + spent() - before


class ByFile:
    """Adds up the cost of tests by file."""

    def __init__(self) -> None:
        """Start at zero."""
        self._seconds: dict[str, float] = {}

    def add(self, report: pytest.TestReport) -> None:
        """Count one phase of a test."""
        file = report.nodeid.partition("::")[0].rpartition("/")[2]
        seconds: Mapping[str, object] = dict(report.user_properties)
        self._seconds[file] = self._seconds.get(file, 0.0) + float(str(seconds.get(PROPERTY, 0.0)))

    def told(self, most: int = 20) -> str:
        """Return the most expensive files, and the sum of all."""
        dearest = sorted(self._seconds, key=self._seconds.__getitem__, reverse=True)[:most]
        listed = ", ".join(f"{name} {self._seconds[name]:.0f} s" for name in dearest)
        return f"{sum(self._seconds.values()):.0f} s: {listed}"
