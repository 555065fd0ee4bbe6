"""Metrics of the process: connection pools, cache, pub/sub, event loop, CPU time and memory."""

import asyncio
import os
import resource
import sys
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from fastapi import FastAPI
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from sqlalchemy import QueuePool

from keel.background.asyncio_tasks import stop
from keel.services import services_of

LAG_SECONDS = 0.5
"""Seconds between two measurements of the event loop's delay."""

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
MEMORY = Path("/proc/self/statm")


class RuntimeMetrics:
    """Instruments that observe the applications of this process: only one, except in tests."""

    def __init__(self, meter: Meter) -> None:
        self._apps: list[FastAPI] = []
        self._lag = meter.create_histogram(
            "app.event_loop.delay",
            unit="s",
            description="How late the event loop runs due callbacks",
            explicit_bucket_boundaries_advisory=[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
        )
        meter.create_observable_up_down_counter(
            "db.client.connection.count", [self._connections], "{connection}", "Connections of the pools, by state"
        )
        meter.create_observable_up_down_counter(
            "db.client.connection.max", [self._limits], "{connection}", "Size of the pools"
        )
        meter.create_observable_counter("app.cache.requests", [self._cache], "{request}", "Cache lookups, by result")
        meter.create_observable_counter(
            "app.cache.invalidations", [self._invalidations], "{invalidation}", "Cache invalidations"
        )
        meter.create_observable_up_down_counter(
            "app.pubsub.listeners", [self._listeners], "{subscription}", "Open subscriptions"
        )
        meter.create_observable_counter("process.cpu.time", [_cpu], "s", "Processor time of the process")
        meter.create_observable_up_down_counter(
            "process.memory.usage", [_memory], "By", "Resident memory of the process"
        )

    @asynccontextmanager
    async def observing(self, app: FastAPI) -> AsyncGenerator[None]:
        """Observe an application while the block runs."""
        self._apps.append(app)
        measuring = asyncio.create_task(self._measure_delay())
        try:
            yield
        finally:
            self._apps.remove(app)
            await stop(measuring)

    async def _measure_delay(self) -> None:
        while True:
            due = time.perf_counter() + LAG_SECONDS
            await asyncio.sleep(LAG_SECONDS)
            self._lag.record(max(0.0, time.perf_counter() - due))

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
    """Return the resident memory in bytes; without /proc, its maximum so far."""
    try:
        return int(statm.read_text(encoding="ascii").split()[1]) * PAGE
    except FileNotFoundError:
        # Linux counts in KiB, macOS in bytes.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
