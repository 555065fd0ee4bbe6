"""Light spans do as the SDK's do."""

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from keel.otel import spans
from keel.otel.encoding import encode

Act = Callable[[trace.Span], object]

RESOURCE = Resource({"service.name": "tests"})
FAR = SpanContext(5, 6, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


class Counting(sdk.RandomIdGenerator):
    """Gives the same ids each time."""

    def __init__(self) -> None:
        self._last = 0

    def generate_trace_id(self) -> int:
        """Return one more."""
        self._last += 1
        return self._last

    generate_span_id = generate_trace_id


class Keeping(sdk.SpanProcessor):
    """Keeps what has ended."""

    def __init__(self) -> None:
        self.ended: list[sdk.ReadableSpan] = []

    def on_end(self, span: sdk.ReadableSpan) -> None:
        """Keep it."""
        self.ended.append(span)


def make(kind: type[sdk.TracerProvider], sampler: Sampler | None = None) -> tuple[trace.Tracer, Keeping]:
    """Return a tracer, and what its spans come to."""
    kept = Keeping()
    provider = kind(sampler or ALWAYS_ON, RESOURCE, shutdown_on_exit=False, id_generator=Counting())
    provider.add_span_processor(kept)
    return provider.get_tracer("tests", "1", "https://schema", {"a": 1}), kept


def record(span: trace.Span, text: str = "torn") -> None:
    """Add an error to a span as an event."""
    try:
        raise LookupError(text)
    except LookupError as error:
        span.record_exception(error, {"rope": 3}, 9, escaped=True)


ACTS: dict[str, Act] = {
    "attributes": lambda span: (span.set_attribute("a", 1), span.set_attributes({"b": [1, 2], "c": None})),
    "too many attributes": lambda span: span.set_attributes({str(number): number for number in range(140)}),
    "a name": lambda span: span.update_name("another"),
    "well": lambda span: (span.set_status(StatusCode.OK), span.set_status(StatusCode.ERROR, "later")),
    "failed": lambda span: (span.set_status(Status(StatusCode.ERROR, "why")), span.set_status(StatusCode.UNSET)),
    "events": lambda span: (span.add_event("moment", {"a": 1}, 3), span.add_event("another", timestamp=4)),
    "too many events": lambda span: [span.add_event("moment", timestamp=number) for number in range(140)],
    "links": lambda span: (span.add_link(FAR, {"a": 1}), span.add_link(SpanContext(0, 0, is_remote=False))),
    "too many links": lambda span: [span.add_link(FAR, {"number": number}) for number in range(140)],
    "an error": record,
    "over": lambda span: (
        span.end(7),
        span.set_attribute("a", 1),
        span.set_attributes({"b": 1}),
        span.update_name("late"),
        span.set_status(StatusCode.ERROR),
        span.add_event("late"),
        span.add_link(FAR),
    ),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_what_is_done_to_a_span(act: Act) -> None:
    """Each has the same effect as on the SDK's, and is encoded to the same."""
    sent = []
    for kind in (sdk.TracerProvider, spans.TracerProvider):
        tracer, kept = make(kind)
        with trace.use_span(NonRecordingSpan(FAR)):
            span = tracer.start_span("work", kind=SpanKind.SERVER, attributes={"first": "x", "a": 0}, start_time=1)
            with trace.use_span(span):
                tracer.start_span("part", start_time=2).end(3)
        assert span.is_recording()
        act(span)
        span.end(8)
        span.end(9)
        assert not span.is_recording()
        sent.append(_ordered(encode_spans(kept.ended)))
        assert sent[-1] == _ordered(ExportTraceServiceRequest.FromString(encode(kept.ended)))

    assert sent[0] == sent[1]


def _ordered(message: ExportTraceServiceRequest) -> ExportTraceServiceRequest:
    """Return it with attributes by name: their order says nothing."""
    for span in message.resource_spans[0].scope_spans[0].spans:
        span.attributes.sort(key=lambda pair: pair.key)
    return message


@pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF, ParentBased(ALWAYS_ON), ParentBased(ALWAYS_OFF)], ids=str)
@pytest.mark.parametrize("parent", [None, *((remote, flags) for remote in (True, False) for flags in range(4))])
def test_sampling(sampler: Sampler, parent: tuple[bool, int] | None) -> None:
    """A span is recorded or not, and says so to its children, as the SDK's would be."""
    context = None
    if parent is not None:
        known = SpanContext(5, 6, is_remote=parent[0], trace_flags=TraceFlags(parent[1]))
        context = trace.set_span_in_context(NonRecordingSpan(known))
    made: list[Any] = []
    for kind in (sdk.TracerProvider, spans.TracerProvider):
        span = make(kind, sampler)[0].start_span("work", context)
        made.append((span.is_recording(), span.get_span_context()))

    assert made[0] == made[1]


def test_what_is_left_to_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans with links, blocks and decorators, limits that somebody has set."""
    tracer, kept = make(spans.TracerProvider)
    with tracer.start_as_current_span("block") as block:
        assert trace.get_current_span() is block
    linked = tracer.start_span("linked", links=[Link(FAR)])

    assert isinstance(block, sdk.Span)
    assert isinstance(linked, sdk.Span)
    assert isinstance(make(spans.TracerProvider)[0].start_span("light"), spans.Span)
    assert [span.name for span in kept.ended] == ["block"]
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "12")
    assert isinstance(make(spans.TracerProvider)[0].start_span("limited"), sdk.Span)


def test_a_span_can_be_printed() -> None:
    """As the SDK's exporter to a console does."""
    printed = []
    for kind in (sdk.TracerProvider, spans.TracerProvider):
        tracer, kept = make(kind)
        tracer.start_span("work", start_time=1).end(2)
        printed.append(kept.ended[0].to_json())

    assert printed[0] == printed[1]
