"""Gauges: what can only be found out by asking, such as how many tasks wait. Nobody asks unless somebody wants to know."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple


class Gauge(NamedTuple):
    """Something that has a value at any time."""

    name: str
    """Lower case with dots, such as `app.task.queue.depth`."""

    unit: str
    """`s`, `By`, or what is counted in braces, such as `{task}`."""

    description: str


Read = Callable[[], Awaitable[Sequence[float]]]
"""Returns the values of some gauges, in order. It is asked once in a while, in each process."""


class Gauges:
    """What packages let be read."""

    def __init__(self) -> None:
        self.reads: list[tuple[Sequence[Gauge], Read]] = []

    def register(self, gauges: Sequence[Gauge], read: Read) -> None:
        """Say how some gauges are read."""
        self.reads.append((gauges, read))
