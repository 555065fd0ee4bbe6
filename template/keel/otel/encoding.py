"""Spans as OTLP: the bytes of an `ExportTraceServiceRequest`, put together from what was encoded before.

The exporter's own encoder builds a message for each attribute of each span, which took more time than all else that
becomes of a span. Attributes, names and scopes are mostly the ones of the spans before, so they are remembered here.
Numbers of fields are those of `opentelemetry/proto/trace/v1/trace.proto`; a test compares with what the exporter's own encoder makes.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status

REMEMBERED = 4096
"""Characters of an attribute that is remembered; what is longer is encoded anew each time."""

_HAS_IS_REMOTE, _IS_REMOTE = 0x100, 0x200
_TIMES = struct.Struct("<BQBQ")
_FLAGS = struct.Struct("<2sI")
_DOUBLE = struct.Struct("<Bd")
_INT64 = range(-(2**63), 2**63)


def encode(spans: Iterable[ReadableSpan]) -> bytes:
    """Return spans as a request to a collector."""
    resources: dict[int, tuple[Resource, dict[int, tuple[InstrumentationScope | None, list[bytes]]]]] = {}
    for span in spans:
        resource, scope = span.resource, span.instrumentation_scope
        _, scopes = resources.setdefault(id(resource), (resource, {}))
        _, encoded = scopes.setdefault(id(scope), (scope, []))
        encoded.append(_span(span))
    return b"".join(
        _field(1, _resource(resource) + b"".join(_field(2, _scope(scope, spans)) for scope, spans in scopes.values()))
        for resource, scopes in resources.values()
    )


def _resource(resource: Resource) -> bytes:
    schema = _text(3, resource.schema_url) if resource.schema_url else b""
    return _field(1, _attributes(1, resource.attributes)) + schema


def _scope(scope: InstrumentationScope | None, spans: list[bytes]) -> bytes:
    if scope is None:
        return b"\x0a\x00" + b"".join(spans)
    about = _text(1, scope.name) + _text(2, scope.version or "") + _attributes(3, scope.attributes or {})
    return _field(1, about) + b"".join(spans) + (_text(3, scope.schema_url) if scope.schema_url else b"")


def _span(span: ReadableSpan) -> bytes:
    context, parent = span.context, span.parent
    flags = _HAS_IS_REMOTE | (_IS_REMOTE if parent is not None and parent.is_remote else 0)
    parts = [_ids(context)]
    if context.trace_state:
        parts.append(_text(3, context.trace_state.to_header()))
    if parent is not None:
        parts += (b"\x22\x08", parent.span_id.to_bytes(8, "big"))
    parts += (_named(span.name, span.kind), _TIMES.pack(0x39, span.start_time or 0, 0x41, span.end_time or 0))
    for key, value in (span.attributes or {}).items():
        parts += (b"\x4a", _pair(key, value))
    parts += (_field(11, _event(event)) for event in span.events)
    parts += (_field(13, _link(link)) for link in span.links)
    dropped = (span.dropped_attributes, span.dropped_events, span.dropped_links)
    if any(dropped):
        parts += (_number(field, count) for field, count in zip((10, 12, 14), dropped, strict=True))
    parts += (_status(span.status), _FLAGS.pack(b"\x85\x01", flags))
    return _field(2, b"".join(parts))


def _ids(context: SpanContext) -> bytes:
    return b"\x0a\x10" + context.trace_id.to_bytes(16, "big") + b"\x12\x08" + context.span_id.to_bytes(8, "big")


@lru_cache(maxsize=1024)
def _named(name: str, kind: SpanKind) -> bytes:
    return _text(5, name) + _number(6, kind.value + 1)


def _event(event: Event) -> bytes:
    moment = b"\x09" + struct.pack("<Q", event.timestamp)
    return moment + _text(2, event.name) + _attributes(3, event.attributes or {}) + _number(4, event.dropped_attributes)


def _link(link: Link) -> bytes:
    flags = _HAS_IS_REMOTE | (_IS_REMOTE if link.context.is_remote else 0)
    return _ids(link.context) + _attributes(4, link.attributes or {}) + b"\x35" + struct.pack("<I", flags)


@lru_cache(maxsize=64)
def _status(status: Status) -> bytes:
    return _field(15, _text(2, status.description or "") + _number(3, status.status_code.value))


def _attributes(field: int, attributes: Mapping[str, Any]) -> bytes:
    tag = _varint(field << 3 | 2)
    return b"".join(tag + _pair(key, value) for key, value in attributes.items())


def _pair(key: str, value: Any) -> bytes:
    """Return an attribute after its length."""
    kind = type(value)
    if kind is int or kind is bool or (kind is str and len(value) <= REMEMBERED):
        return _remembered(key, value)
    return _encoded(key, value)


def _encoded(key: str, value: Any) -> bytes:
    body = _text(1, key) + _field(2, _value(value))
    return _varint(len(body)) + body


_remembered = lru_cache(maxsize=1024, typed=True)(_encoded)


def _value(value: Any) -> bytes:  # noqa: PLR0911 - one for each kind
    match value:
        case None:
            return b""
        case str():
            return _text(1, value)
        case bool():
            return b"\x10\x01" if value else b"\x10\x00"
        case int() if value in _INT64:
            return b"\x18" + _varint(value & 2**64 - 1)
        case float():
            return _DOUBLE.pack(0x21, value)
        case bytes():
            return _field(7, value)
        case Sequence():
            return _field(5, b"".join(_field(1, _value(each)) for each in value))
        case Mapping():
            return _field(6, _attributes(1, {str(key): each for key, each in value.items()}))
        case _:
            return _text(1, str(value))


def _text(field: int, text: str) -> bytes:
    return _field(field, text.encode(errors="replace"))


def _number(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _field(field: int, body: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(body)) + body


def _varint(number: int) -> bytes:
    rest = number >> 7
    return _BYTES[number & 0x7F | 0x80] + _varint(rest) if rest else _BYTES[number]


_BYTES = [bytes([number]) for number in range(256)]
