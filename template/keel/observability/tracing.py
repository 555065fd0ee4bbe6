"""What can be seen of the application from outside: spans and measurements, by OpenTelemetry's API.

FastAPI is seen by the same API. As long as nobody has set up where it leads to, all of this does nothing.
"""

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode

tracer = trace.get_tracer("app")
meter = metrics.get_meter("app")

_DURATIONS = meter.create_histogram(
    "db.client.operation.duration",
    unit="s",
    description="Time that an operation of a database took, as seen from here",
    explicit_bucket_boundaries_advisory=[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
)


class Operation:
    """What calls of one kind have in common, said once: making it for each call would be most of what the call costs."""

    __slots__ = ("attributes", "measured", "name")

    def __init__(self, system: str, operation: str, *, name: str | None = None, query: str | None = None) -> None:
        """Describe an operation such as `SELECT`; a query has marks in place of values."""
        self.name = name or operation
        self.measured = {"db.system.name": system, "db.operation.name": operation}
        self.attributes = {**self.measured, "db.query.text": query} if query else self.measured


class Call:
    """A call to a database: its duration is measured; within a trace that is recorded, it is a span too.

    Calls that belong to no trace, such as looks at the clock's command, would each be a trace of their own that nobody
    reads.
    """

    __slots__ = ("_operation", "_span", "_started")

    def __init__(self, operation: Operation) -> None:
        """Begin a call."""
        self._operation = operation
        self._span: Span | None = None
        if trace.get_current_span().is_recording():
            self._span = tracer.start_span(operation.name, kind=SpanKind.CLIENT, attributes=operation.attributes)
        self._started = time.perf_counter()

    def end(self, error: BaseException | None = None) -> None:
        """End the call. Of an error, only its type is told: its text may hold what people have written."""
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
        """Begin: the call has begun already."""
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """End the call."""
        self.end(error)


@contextmanager
def step(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    context: Context | None = None,
    root: bool = False,
    attributes: Mapping[str, str | int] | None = None,
) -> Generator[None]:
    """Make what is done in the block a span of its trace, if that is recorded.

    Args:
        name: one of a few: what differs from one time to the next is an attribute, or nothing at all.
        kind: whether it hands something on (`PRODUCER`) or takes it (`CONSUMER`).
        context: the trace to continue; the current one unless given.
        root: whether to begin a trace if there is none.
        attributes: what else there is to know.
    """
    parent = trace.get_current_span(context).get_span_context()
    if not (parent.trace_flags.sampled or (root and not parent.is_valid)):
        yield
        return
    # The library's own way to record errors would tell their text.
    span = tracer.start_span(name, context, kind, attributes)
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield
        except Exception as error:
            mark(span, error)
            raise


def mark(span: Span, error: BaseException) -> None:
    """Say that a span has failed, and with what kind of error."""
    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(StatusCode.ERROR)


def carrier() -> dict[str, str]:
    """Return what somebody who continues this trace elsewhere, or later, needs to know; nothing without a trace."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers


def carried(headers: Mapping[str, Any] | None) -> Context:
    """Return the trace that a carrier came from."""
    return propagate.extract(headers or {}, context=Context())
