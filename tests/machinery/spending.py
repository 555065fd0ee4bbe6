"""What each stage of examining a combination costs: seconds of the processor, here and in what was started."""

from __future__ import annotations

import contextlib
import resource
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.machinery.warm import WarmProcess


class Spending:
    """Adds up what stages cost, by their names."""

    def __init__(self, warm: WarmProcess) -> None:
        """Take the warm process that stages use: what its jobs cost is known to it alone."""
        self.warm = warm
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def stage(self, name: str) -> Generator[None]:
        """Count what this block spends."""
        before = self._spent()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self._spent() - before

    def _spent(self) -> float:
        spent = self.warm.cpu
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            usage = resource.getrusage(who)
            spent += usage.ru_utime + usage.ru_stime
        return spent
