"""Gauges of packages: values that must be queried, such as the depth of a queue.

A package provides its gauges in a module `gauges`:

    SHIPS = Gauge("harbour.ships", "{ship}", "Ships in the harbour")

    async def read(app: FastAPI) -> Mapping[Gauge, float]:
        return {SHIPS: await services_of(app).database.read.scalar(_COUNT)}
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from fastapi import FastAPI


class Gauge(NamedTuple):
    """A metric with a value at any time."""

    name: str
    """In lower case with dots, such as `app.task.queue.depth`."""

    unit: str
    """`s`, `By`, or the counted thing in braces, such as `{task}`."""

    description: str


Read = Callable[[FastAPI], Awaitable[Mapping[Gauge, float]]]
"""The `read` of a module `gauges`: returns the current values. Called once per export interval, in each process."""
