"""Measurements that cost little to make: histograms and counters which find their series at once.

The SDK copies and cleans the attributes of each measurement several times before it counts. Here what they say is looked
up as it comes.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from threading import Lock
from time import time_ns
from typing import Any, Generic, TypeVar

from opentelemetry import metrics
from opentelemetry.context import Context, get_current
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import Exemplar, export
from opentelemetry.trace import SpanContext, get_current_span
from opentelemetry.util.types import Attributes

SERIES = 2000
"""Series that an instrument may have: the SDK's default. What comes beyond is counted in one that says so."""

WAITING = 512
"""Measurements that are counted together: that is quicker, since all that it takes is at hand by the second."""

Items = tuple[tuple[str, Any], ...]
OVERFLOW: Items = (("otel.metric.overflow", True),)

S = TypeVar("S")


class Series(Generic[S]):
    """What an instrument has counted, by attributes.

    Measurements are put aside as they come, in `waiting`, and counted many at a time.
    """

    def __init__(self, make: Callable[[], S], count: Callable[..., None]) -> None:
        """Begin a series by one function, count a measurement in it by the other."""
        self._make = make
        self._count = count
        self.waiting: deque[tuple[Items, tuple[Any, ...]]] = deque()
        self._found: dict[Items, S] = {}
        self._all: dict[Hashable, tuple[Attributes, S]] = {}
        self._lock = Lock()

    def counted(self) -> list[tuple[Attributes, S]]:
        """Return all series, with everything that was measured until now."""
        with self._lock:
            while self.waiting:
                items, measured = self.waiting.popleft()
                try:
                    series = self._found.get(items) or self._find(items, frozenset(items))
                except TypeError:
                    # Lists cannot be looked up; what they say can.
                    items = tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in items)
                    series = self._find(items, repr(sorted(items)))
                self._count(series, *measured)
            return list(self._all.values())

    def _find(self, items: Items, key: Hashable) -> S:
        if key not in self._all and len(self._all) >= SERIES:
            items, key = OVERFLOW, OVERFLOW
        _, series = self._all.setdefault(key, (dict(items), self._make()))
        with suppress(TypeError):
            self._found[items] = series
        return series


class Counts:
    """The series of a histogram."""

    __slots__ = ("buckets", "examples", "greatest", "least", "since", "sum")

    def __init__(self, buckets: int) -> None:
        self.buckets = [0] * buckets
        self.sum = 0.0
        self.least, self.greatest = float("inf"), float("-inf")
        self.since = time_ns()
        self.examples: dict[int, tuple[float, int, SpanContext]] = {}
        """The last of each bucket since the last report that belongs to a trace which is recorded."""


class Histogram(metrics.Histogram):
    """Counts measurements in buckets."""

    def __init__(self, name: str, unit: str, description: str, bounds: Sequence[float]) -> None:
        super().__init__(name, unit, description)
        self._about = (name, description, unit)
        self._bounds = tuple(bounds)
        self._series = Series(lambda: Counts(len(bounds) + 1), self._count)

    def record(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        """Count a measurement; what is no length of anything is left out."""
        if not 0 <= amount < float("inf"):
            return
        series = self._series
        items = tuple(attributes.items()) if attributes else ()
        series.waiting.append((items, (amount, time_ns(), context or get_current())))
        if len(series.waiting) >= WAITING:
            series.counted()

    def _count(self, counts: Counts, amount: float, moment: int, context: Context) -> None:
        bucket = bisect_left(self._bounds, amount)
        counts.buckets[bucket] += 1
        counts.sum += amount
        counts.least = min(counts.least, amount)
        counts.greatest = max(counts.greatest, amount)
        span = get_current_span(context).get_span_context()
        if span.trace_flags.sampled:
            counts.examples[bucket] = (amount, moment, span)

    def collect(self) -> export.Metric | None:
        """Return what was measured so far, if anything was."""
        points = [self._point(attributes, counts) for attributes, counts in self._series.counted()]
        name, description, unit = self._about
        data = export.Histogram(points, export.AggregationTemporality.CUMULATIVE)
        return export.Metric(name, description, unit, data) if points else None

    def _point(self, attributes: Attributes, counts: Counts) -> export.HistogramDataPoint:
        examples, counts.examples = counts.examples, {}
        return export.HistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=counts.since,
            time_unix_nano=time_ns(),
            count=sum(counts.buckets),
            sum=counts.sum,
            bucket_counts=tuple(counts.buckets),
            explicit_bounds=self._bounds,
            min=counts.least,
            max=counts.greatest,
            exemplars=[
                Exemplar({}, amount, moment, span.span_id, span.trace_id) for amount, moment, span in examples.values()
            ],
        )


class Sums:
    """What a counter has counted; the SDK asks for it when it reports."""

    def __init__(self, *about: str) -> None:
        super().__init__(*about)
        self._series: Series[list[float]] = Series(lambda: [0], _add)

    def add(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:  # noqa: ARG002 - as OpenTelemetry calls it
        """Add to a sum."""
        series = self._series
        series.waiting.append((tuple(attributes.items()) if attributes else (), (amount,)))
        if len(series.waiting) >= WAITING:
            series.counted()

    def observe(self, _: CallbackOptions) -> Iterable[Observation]:
        """Return the sums."""
        return [Observation(total, attributes) for attributes, (total,) in self._series.counted()]


def _add(total: list[float], amount: float) -> None:
    total[0] += amount


class UpDownCounter(Sums, metrics.UpDownCounter):
    """Counts what comes and goes."""


class Counter(Sums, metrics.Counter):
    """Counts what only grows."""

    def add(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        """Add to a sum; what would make it smaller is left out."""
        if amount >= 0:
            super().add(amount, attributes, context)
