"""Reads the gauges of packages: values that must be queried, such as the depth of a queue."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager, suppress

import structlog
from fastapi import FastAPI
from opentelemetry.metrics import Meter

from keel.background.asyncio_tasks import stop
from keel.features import FEATURES
from keel.observability.gauges import Read
from keel.packages import Package, find_package, load_each

PATIENCE = 5.0
"""Seconds that a shutdown waits for a read in progress."""

log = structlog.get_logger()


def find_reads(packages: Iterable[Package]) -> list[Read]:
    """Return the `read` of each module `gauges`: first of features, then of the application's packages.

    Raises:
        PackageError: a module `gauges` has no `read`.
    """
    features = (find_package(feature.__name__.removesuffix(".plugin")) for feature in FEATURES)
    return [module.read for _, module in load_each([*features, *packages], "gauges")]


class GaugeReader:
    """Sets gauges of a meter to the values that the packages' `read` functions return."""

    def __init__(self, meter: Meter, reads: Iterable[Read]) -> None:
        self._meter = meter
        self._reads = tuple(reads)

    @asynccontextmanager
    async def reading(self, app: FastAPI, seconds: float) -> AsyncGenerator[None]:
        """Read every `seconds` while the block runs."""
        over = asyncio.Event()
        task = asyncio.create_task(self._read_until(over, app, seconds))
        try:
            yield
        finally:
            over.set()
            # Not cancelled during a read, which would leak a database connection.
            await asyncio.wait([task], timeout=PATIENCE)
            await stop(task)

    async def read(self, app: FastAPI) -> None:
        """Read all gauges once; a failure is logged, and retried the next time."""
        for read in self._reads:
            try:
                values = await read(app)
            except Exception as error:  # noqa: BLE001 - a dependency may be unavailable
                await log.awarning("gauge_failed", error=repr(error))
                continue
            for gauge, value in values.items():
                self._meter.create_gauge(gauge.name, gauge.unit, gauge.description).set(value)

    async def _read_until(self, over: asyncio.Event, app: FastAPI, seconds: float) -> None:
        # Half an interval after each export, so that every export has fresh values.
        pause = seconds / 2
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await over.wait()
                    return
            await self.read(app)
            pause = seconds
