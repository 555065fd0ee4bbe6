"""What is measured by looking: pools, caches, the event loop, the process, and what packages let be read."""

import asyncio
import os
import resource
import sys
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import structlog
from fastapi import FastAPI
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from sqlalchemy import QueuePool

from keel.background.asyncio_tasks import stop
from keel.services import services_of

LAG_SECONDS = 0.5
"""How often the event loop is asked how late it is."""

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
MEMORY = Path("/proc/self/statm")

PATIENCE = 5.0
"""Seconds that a shutdown waits for what is being read."""

log = structlog.get_logger()


class Gauges:
    """Looks at the applications of this process; there is one, but in tests."""

    def __init__(self, meter: Meter, seconds: float) -> None:
        """Report to a meter; ask what packages let be read every so many seconds."""
        self._apps: list[FastAPI] = []
        self._meter = meter
        self._seconds = seconds
        self._lag = meter.create_histogram(
            "app.event_loop.delay",
            unit="s",
            description="How late the event loop does what was to be done at a certain time",
            explicit_bucket_boundaries_advisory=[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
        )
        meter.create_observable_up_down_counter(
            "db.client.connection.count", [self._connections], "{connection}", "Connections of the pools, by state"
        )
        meter.create_observable_up_down_counter(
            "db.client.connection.max", [self._limits], "{connection}", "Connections that the pools may have"
        )
        meter.create_observable_counter(
            "app.cache.requests", [self._cache], "{request}", "Questions to the cache, by what became of them"
        )
        meter.create_observable_counter(
            "app.cache.invalidations", [self._invalidations], "{invalidation}", "Times that values were forgotten"
        )
        meter.create_observable_up_down_counter(
            "app.pubsub.listeners", [self._listeners], "{subscription}", "Subscriptions that are open"
        )
        meter.create_observable_counter("process.cpu.time", [_cpu], "s", "Processor time of this process")
        meter.create_observable_up_down_counter("process.memory.usage", [_memory], "By", "Memory of this process")

    @asynccontextmanager
    async def of(self, app: FastAPI) -> AsyncGenerator[None]:
        """Look at an application while the block runs."""
        self._apps.append(app)
        over = asyncio.Event()
        watching = asyncio.create_task(self._watch_loop())
        asking = asyncio.create_task(self._ask(app, over))
        try:
            yield
        finally:
            self._apps.remove(app)
            over.set()
            # What is being read is read to its end: cut off, it would leave a connection behind.
            await asyncio.wait([asking], timeout=PATIENCE)
            await stop(watching, asking)

    async def _watch_loop(self) -> None:
        while True:
            due = time.perf_counter() + LAG_SECONDS
            await asyncio.sleep(LAG_SECONDS)
            self._lag.record(max(0.0, time.perf_counter() - due))

    async def _ask(self, app: FastAPI, over: asyncio.Event) -> None:
        # Between two exports, so that each has what is new.
        pause = self._seconds / 2
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await over.wait()
                    return
            await self.ask(app)
            pause = self._seconds

    async def ask(self, app: FastAPI) -> None:
        """Ask what packages let be read."""
        for gauges, read in services_of(app).gauges.reads:
            try:
                values = await read()
            except Exception as error:  # noqa: BLE001 - what is away now is there another time
                await log.awarning("reading_failed", error=repr(error))
                continue
            for gauge, value in zip(gauges, values, strict=True):
                self._meter.create_gauge(gauge.name, gauge.unit, gauge.description).set(value)

    def _pools(self) -> Iterator[tuple[str, QueuePool]]:
        for app in self._apps:
            for name in ("writer", "reader"):
                pool = getattr(services_of(app).database, name).pool
                if isinstance(pool, QueuePool):
                    yield name, pool

    def _connections(self, _: CallbackOptions) -> Iterable[Observation]:
        for name, pool in self._pools():
            used = pool.checkedout()
            for state, count in (("used", used), ("idle", pool.checkedin())):
                yield Observation(count, {"db.client.connection.pool.name": name, "db.client.connection.state": state})

    def _limits(self, _: CallbackOptions) -> Iterable[Observation]:
        for name, pool in self._pools():
            yield Observation(pool.size(), {"db.client.connection.pool.name": name})

    def _cache(self, _: CallbackOptions) -> Iterable[Observation]:
        for app in self._apps:
            counted = asdict(services_of(app).cache.counters)
            for field, result in (("hits", "hit"), ("misses", "miss"), ("bypassed", "bypassed")):
                yield Observation(counted[field], {"app.cache.result": result})

    def _invalidations(self, _: CallbackOptions) -> Iterable[Observation]:
        for app in self._apps:
            yield Observation(services_of(app).cache.counters.invalidations)

    def _listeners(self, _: CallbackOptions) -> Iterable[Observation]:
        for app in self._apps:
            yield Observation(services_of(app).pubsub.listeners)


def _cpu(_: CallbackOptions) -> Iterable[Observation]:
    times = os.times()
    yield Observation(times.user, {"cpu.mode": "user"})
    yield Observation(times.system, {"cpu.mode": "system"})


def _memory(_: CallbackOptions) -> Iterable[Observation]:
    yield Observation(resident())


def resident(statm: Path = MEMORY) -> int:
    """Return the bytes of memory that this process holds; where the system does not tell, the most that it ever held."""
    try:
        return int(statm.read_text(encoding="ascii").split()[1]) * PAGE
    except FileNotFoundError:
        # Linux counts in KiB, macOS in bytes.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
