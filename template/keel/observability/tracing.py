"""Spans and metrics with OpenTelemetry's API, which FastAPI uses too. Without a provider, all of it is a no-op."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode

tracer = trace.get_tracer("app")
meter = metrics.get_meter("app")


@contextmanager
def step(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    context: Context | None = None,
    root: bool = False,
    attributes: Mapping[str, str | int] | None = None,
) -> Generator[None]:
    """Make the block a span of its trace, if that is recorded.

    Args:
        name: of low cardinality; values that vary belong in attributes.
        kind: such as `PRODUCER` or `CONSUMER` of a message.
        context: the trace to continue; by default the current one.
        root: whether to start a trace if there is none.
        attributes: of the span.
    """
    parent = trace.get_current_span(context).get_span_context()
    if not (parent.trace_flags.sampled or (root and not parent.is_valid)):
        yield
        return
    # The library's own recording of errors includes their text.
    span = tracer.start_span(name, context, kind, attributes)
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield
        except Exception as error:
            mark(span, error)
            raise


def mark(span: Span, error: BaseException) -> None:
    """Mark a span as failed, with the type of the error."""
    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(StatusCode.ERROR)
