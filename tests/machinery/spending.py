"""What tests and the stages of examining a combination cost: seconds of the processor, here and in what was started."""

from __future__ import annotations

import contextlib
import resource
from typing import TYPE_CHECKING

from tests.machinery.warm import WarmProcess

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    import pytest


#: What each phase of a test cost, among the properties of its report.
PROPERTY = "cpu"


def spent() -> float:
    """Seconds of the processor that this process has taken, and what it started and waited for."""
    total = WarmProcess.spent
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return total


class Spending:
    """Adds up what stages cost, by their names."""

    def __init__(self, warm: WarmProcess) -> None:
        """Take the warm process that stages use: what its jobs cost is known to it alone."""
        self.warm = warm
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def stage(self, name: str) -> Generator[None]:
        """Count what this block spends."""
        before = spent()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + spent() - before


class ByFile:
    """Adds up what tests cost by their files: where a run takes long."""

    def __init__(self) -> None:
        """Nothing was spent yet."""
        self._seconds: dict[str, float] = {}

    def add(self, report: pytest.TestReport) -> None:
        """Count one phase of a test."""
        file = report.nodeid.partition("::")[0].rpartition("/")[2]
        seconds: Mapping[str, object] = dict(report.user_properties)
        self._seconds[file] = self._seconds.get(file, 0.0) + float(str(seconds.get(PROPERTY, 0.0)))

    def told(self, most: int = 20) -> str:
        """The dearest files, and the sum of all."""
        dearest = sorted(self._seconds, key=self._seconds.__getitem__, reverse=True)[:most]
        listed = ", ".join(f"{name} {self._seconds[name]:.0f} s" for name in dearest)
        return f"{sum(self._seconds.values()):.0f} s: {listed}"
