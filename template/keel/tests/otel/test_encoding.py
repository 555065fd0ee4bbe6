"""What is sent is what the exporter's own encoder would send."""

from itertools import product

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState
from opentelemetry.util.types import AnyValue

from keel.otel.encoding import REMEMBERED, encode

VALUES: dict[str, AnyValue] = {
    "none": None,
    "true": True,
    "false": False,
    "one": 1,
    "numbers": (0, 1, -1, 127, 128, 16383, 16384, 2**63 - 1, -(2**63)),
    "floats": (0.0, 1.0, -2.5, 1e300, float("inf")),
    "texts": ("", "rope", "Seil ß 绳", "x" * 127, "x" * 128, "x" * 70_000),
    "bytes": b"\x00\xff",
    "mapping": {"deep": {"deeper": (1, "a")}, "": None},
    "empty": (),
}

RESOURCE = Resource({"service.name": "tests", "process.pid": 7})
SCOPES = (None, InstrumentationScope("app"), InstrumentationScope("other", "1.2", "https://schema", {"deep": True}))


def read(encoded: bytes) -> ExportTraceServiceRequest:
    """Return the message."""
    return ExportTraceServiceRequest.FromString(encoded)


def span(attributes: dict[str, AnyValue], number: int = 1, **more: object) -> ReadableSpan:
    """Return a span that has ended."""
    context = SpanContext(number, number + 1, is_remote=False, trace_flags=TraceFlags(1))
    given = {"context": context, "resource": RESOURCE, "start_time": 2**60, "end_time": 2**60 + number} | more
    return ReadableSpan(f"span {number}", attributes=attributes, **given)  # ty: ignore[invalid-argument-type]


@pytest.mark.parametrize("name", VALUES)
def test_attributes(name: str) -> None:
    """Whatever they hold, together and each alone, and whether it was met before."""
    value = VALUES[name]
    alone = value if isinstance(value, tuple) else ()
    spans = [span({name: each}) for each in (value, value, *alone, *alone)]

    assert read(encode(spans)) == encode_spans(spans)


def test_spans_of_several_packages() -> None:
    """They are grouped by who has made them."""
    drawn = [*product(SCOPES, SpanKind), *product(SCOPES, SpanKind)]
    spans = [
        span({}, number, instrumentation_scope=scope, kind=kind) for number, (scope, kind) in enumerate(drawn, start=1)
    ]

    assert read(encode(spans)) == encode_spans(spans)


def test_all_that_a_span_can_have() -> None:
    """Parents near and far, states, events, links, outcomes, text that is too long to be remembered."""
    far = SpanContext(5, 6, is_remote=True, trace_state=TraceState([("vendor", "a"), ("other", "b")]))
    near = SpanContext(5, 7, is_remote=False)
    spans = [
        span({"text": "x" * (REMEMBERED + 1), "one": 1, "true": True, "float": 1.0}, parent=far, context=far),
        span({}, parent=near, events=[Event("moment", {"a": 1}, 2**61)], status=Status(StatusCode.ERROR, "why")),
        span({}, links=[Link(far, {"b": 2}), Link(near)], status=Status(StatusCode.OK)),
        span({}, resource=Resource({"service.name": "another"}, "https://schema")),
    ]

    assert read(encode(spans)) == encode_spans(spans)


def test_what_has_no_place_in_the_protocol() -> None:
    """A number that is too large, half a character, an object: they are sent as text rather than not at all."""
    strange: dict[str, AnyValue] = {"large": 2**63, "half": "\ud800", "thing": object}  # ty: ignore[invalid-assignment]
    (sent,) = read(encode([span(strange)])).resource_spans[0].scope_spans[0].spans

    assert [pair.value.string_value for pair in sent.attributes] == [str(2**63), "?", str(object)]
