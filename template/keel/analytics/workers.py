"""A few threads in which tables are built outside the event loop, with metrics."""

import time
from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from keel.analytics.settings import AnalyticsSettings
from keel.observability.tracing import meter, step

T = TypeVar("T")

_seconds = meter.create_histogram(
    "analytics.chunk.duration",
    unit="s",
    description="Time to build and encode a chunk of a table",
    explicit_bucket_boundaries_advisory=[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
)
_bytes = meter.create_histogram(
    "analytics.chunk.size",
    unit="By",
    description="Size of an encoded chunk of a table",
    explicit_bucket_boundaries_advisory=[100, 1e3, 1e4, 5e4, 1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6, 1e7, 1e8],
)


class Workers:
    """`services.analytics`: the settings, and threads for work with tables.

    The first table that is not JSON imports pyarrow (70 MB, half a second), the first DataFrame pandas (45 MB, two
    seconds); neither is imported at startup.
    """

    def __init__(self, settings: AnalyticsSettings) -> None:
        self.settings = settings
        self._limiter = CapacityLimiter(settings.threads)

    async def run(self, function: Callable[[], T]) -> T:
        """Call a function in a thread, and return its result; wait while all threads are busy."""
        return await to_thread.run_sync(function, limiter=self._limiter)

    async def encode(self, media_type: str, function: Callable[[], bytes]) -> bytes:
        """Return an encoded chunk; record its time and size."""
        started = time.perf_counter()
        with step("encode table", attributes={"analytics.media_type": media_type}):
            data = await self.run(function)
        attributes = {"analytics.media_type": media_type}
        _seconds.record(time.perf_counter() - started, attributes)
        _bytes.record(len(data), attributes)
        return data
