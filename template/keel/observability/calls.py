"""Database calls, measured and traced, and traces that continue in another process."""

import time
from collections.abc import Mapping
from typing import Any, Self

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind

from keel.observability.tracing import mark, meter, tracer

_DURATIONS = meter.create_histogram(
    "db.client.operation.duration",
    unit="s",
    description="Duration of database operations, measured by the client",
    explicit_bucket_boundaries_advisory=[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
)


class Operation:
    """The attributes shared by calls of one kind; building them per call would be most of its cost."""

    __slots__ = ("attributes", "measured", "name")

    def __init__(self, system: str, operation: str, *, name: str | None = None, query: str | None = None) -> None:
        """Describe an operation such as `SELECT`; `query` has placeholders for values."""
        self.name = name or operation
        self.measured = {"db.system.name": system, "db.operation.name": operation}
        self.attributes = {**self.measured, "db.query.text": query} if query else self.measured


class Call:
    """A database call: its duration is measured, and within a recorded trace it is a span.

    Outside a trace there is no span: otherwise each poll of a timer would be its own trace.
    """

    __slots__ = ("_operation", "_span", "_started")

    def __init__(self, operation: Operation) -> None:
        """Start the call."""
        self._operation = operation
        self._span: Span | None = None
        if trace.get_current_span().is_recording():
            self._span = tracer.start_span(operation.name, kind=SpanKind.CLIENT, attributes=operation.attributes)
        self._started = time.perf_counter()

    def end(self, error: BaseException | None = None) -> None:
        """End the call. Only the type of an error is recorded: its text may hold personal data."""
        duration = time.perf_counter() - self._started
        attributes = self._operation.measured
        if error is not None:
            attributes = {**attributes, "error.type": type(error).__qualname__}
        _DURATIONS.record(duration, attributes)
        if self._span is not None:
            if error is not None:
                mark(self._span, error)
            self._span.end()

    def __enter__(self) -> Self:
        """Return itself; the call has started."""
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """End the call."""
        self.end(error)


def carrier() -> dict[str, str]:
    """Return headers with which another process can continue this trace; empty without a trace."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers


def carried(headers: Mapping[str, Any] | None) -> Context:
    """Return the context of the trace in headers."""
    return propagate.extract(headers or {}, context=Context())
