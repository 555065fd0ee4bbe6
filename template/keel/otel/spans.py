"""Spans that cost little to make; the SDK's own are most of what a trace costs.

A tracer's `start_span`, which FastAPI and `keel/observability/tracing.py` call for each request and each statement, makes these.
Whatever is made otherwise, and all spans if a variable asks for other limits than the usual ones, is the SDK's.
"""

import os
import re
import traceback
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from time import time_ns
from typing import Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace import sampling
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AnyValue, Attributes

LIMIT = 128
"""Attributes, events and links that a span may have: the SDK's default."""

_SPECIAL = re.compile(r"OTEL_\w+_LIMIT|OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED")
"""Variables that ask for what only the SDK's spans do."""

_UNSET = Status(StatusCode.UNSET)
_FLAGS = [TraceFlags(flags) for flags in range(4)]
"""Neither, sampled, of a random id, both."""


class TracerProvider(sdk.TracerProvider):
    """The SDK's provider; its tracers make light spans."""

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> trace.Tracer:
        """Return the tracer of a package."""
        usual = super().get_tracer(instrumenting_module_name, instrumenting_library_version, schema_url, attributes)
        if not isinstance(usual, sdk.Tracer) or any(map(_SPECIAL.fullmatch, os.environ)):
            return usual
        scope = InstrumentationScope(instrumenting_module_name, instrumenting_library_version, schema_url, attributes)
        return Tracer(usual, scope)


class Tracer(trace.Tracer):
    """Makes light spans where it is asked for a span alone."""

    def __init__(self, usual: sdk.Tracer, scope: InstrumentationScope) -> None:
        self.usual = usual
        self.scope = scope
        self.processor: Any = usual.span_processor
        # Whatever variables make such a sampler by, children of this process's spans do as their parents.
        self._as_parent = isinstance(usual.sampler, sampling.ParentBased)

    def start_span(  # noqa: PLR0917 - as in the base class
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,  # noqa: FBT001, FBT002 - as in the base class
        set_status_on_exception: bool = True,  # noqa: FBT001, FBT002 - as in the base class
    ) -> trace.Span:
        """Begin a span; whoever wants it to be the current one sees to that."""
        usual = self.usual
        if links:
            return usual.start_span(
                name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
            )
        parent = trace.get_current_span(context).get_span_context()
        known = parent.is_valid
        identify = usual.id_generator
        if known and self._as_parent and not parent.is_remote:
            trace_id, flags, state = parent.trace_id, parent.trace_flags, parent.trace_state
            recording, given = flags & TraceFlags.SAMPLED, attributes
        else:
            trace_id = parent.trace_id if known else identify.generate_trace_id()
            decided = usual.sampler.should_sample(context, trace_id, name, kind, attributes, ())
            random = parent.trace_flags.random_trace_id if known else identify.is_trace_id_random()
            flags = _FLAGS[decided.decision.is_sampled() | random << 1]
            recording, state, given = decided.decision.is_recording(), decided.trace_state, decided.attributes
        mine = SpanContext(trace_id, identify.generate_span_id(), False, flags, state)  # noqa: FBT003 - as in the base class
        if not recording:
            return trace.NonRecordingSpan(mine)
        span = Span(self, name, mine, parent if known else None, kind, dict(given or ()), start_time or time_ns())
        self.processor.on_start(span, context)
        return span

    def start_as_current_span(self, *arguments: Any, **options: Any) -> AbstractContextManager[trace.Span]:  # ty: ignore[incompatible-method-override]
        """Begin a span of the SDK's; this decorates functions, too."""
        return self.usual.start_as_current_span(*arguments, **options)


class Span(trace.Span):
    """What happens in a trace; it can be read as the SDK's spans can."""

    __slots__ = (
        "_tracer",
        "attributes",
        "context",
        "end_time",
        "events",
        "kind",
        "links",
        "name",
        "parent",
        "start_time",
        "status",
    )

    dropped_attributes = dropped_events = dropped_links = 0

    def __init__(  # noqa: PLR0917 - as many as a span has
        self,
        tracer: Tracer,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: dict[str, AnyValue],
        start_time: int,
    ) -> None:
        self._tracer = tracer
        self.name = name
        self.context = context
        self.parent = parent
        self.kind = kind
        self.attributes = attributes
        self.start_time = start_time
        self.end_time: int | None = None
        self.status = _UNSET
        self.events: Sequence[sdk.Event] = ()
        self.links: Sequence[Link] = ()

    @property
    def resource(self) -> Any:
        """Return where it comes from."""
        return self._tracer.usual.resource

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        """Return who has made it."""
        return self._tracer.scope

    def get_span_context(self) -> SpanContext:
        """Return what children and other processes know it by."""
        return self.context

    def is_recording(self) -> bool:
        """Return whether it has not ended."""
        return self.end_time is None

    def set_attribute(self, key: str, value: AnyValue) -> None:
        """Say something of it."""
        if self.end_time is None:
            self.attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        """Say several things of it."""
        if self.end_time is None:
            self.attributes.update(attributes)

    def update_name(self, name: str) -> None:
        """Call it something else."""
        if self.end_time is None:
            self.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Say how it went; what went well stays so."""
        given = Status(status, description) if isinstance(status, StatusCode) else status
        if self.end_time is None and not given.is_unset and self.status.status_code is not StatusCode.OK:
            self.status = given

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Add a moment; the oldest of too many are forgotten."""
        if self.end_time is None:
            said = BoundedAttributes(LIMIT, attributes, immutable=True)
            event = sdk.Event(name, said, timestamp)
            self.dropped_events += len(self.events) == LIMIT
            self.events = (*self.events[1 - LIMIT :], event)

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Point at another span; the oldest of too many are forgotten."""
        if self.end_time is None and context.is_valid:
            link = Link(context, BoundedAttributes(LIMIT, attributes, immutable=True))
            self.dropped_links += len(self.links) == LIMIT
            self.links = (*self.links[1 - LIMIT :], link)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: FBT001, FBT002 - as in the base class
    ) -> None:
        """Add an error as an event."""
        kind = type(exception)
        module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        said = {
            "exception.type": f"{module}{kind.__qualname__}",
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", said | dict(attributes or {}), timestamp)

    def end(self, end_time: int | None = None) -> None:
        """End it, and hand it on; a second time does nothing."""
        if self.end_time is not None:
            return
        while len(self.attributes) > LIMIT:
            del self.attributes[next(iter(self.attributes))]
            self.dropped_attributes += 1
        self.end_time = end_time or time_ns()
        self._tracer.processor.on_end(self)

    def to_json(self, indent: int | None = 4) -> str:
        """Return it as text, for those who print spans."""
        names = ("name", "context", "parent", "resource", "attributes", "events", "links", "kind", "status")
        names += ("start_time", "end_time", "instrumentation_scope")
        return sdk.ReadableSpan(**{name: getattr(self, name) for name in names}).to_json(indent)
