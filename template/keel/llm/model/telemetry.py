"""Telemetry of calls, by OpenTelemetry's conventions for generative AI. It records neither text nor callers."""

import time

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind

from keel.llm.model.turns import Reply
from keel.observability import tracing

_SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]

_DURATION = tracing.meter.create_histogram(
    "gen_ai.client.operation.duration",
    unit="s",
    description="Duration of calls of the model",
    explicit_bucket_boundaries_advisory=_SECONDS,
)
_FIRST = tracing.meter.create_histogram(
    "gen_ai.client.operation.time_to_first_chunk",
    unit="s",
    description="Time until the model begins to answer",
    explicit_bucket_boundaries_advisory=_SECONDS,
)
_NEXT = tracing.meter.create_histogram(
    "gen_ai.client.operation.time_per_output_chunk",
    unit="s",
    description="Time between two chunks of an answer; most models send a token in each",
    explicit_bucket_boundaries_advisory=_SECONDS,
)
_TOKENS = tracing.meter.create_histogram(
    "gen_ai.client.token.usage",
    unit="{token}",
    description="Tokens of a call, read and written",
    explicit_bucket_boundaries_advisory=[1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576],
)


class CallObservation:
    """One attempt to call a model, which begins with this object: call `chunk` for each chunk, then always `end`."""

    def __init__(self, provider: str, model: str) -> None:
        self._attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
        }
        self._span: Span | None = None
        if trace.get_current_span().is_recording():
            attributes = {**self._attributes, "gen_ai.request.stream": True}
            self._span = tracing.tracer.start_span(f"chat {model}", kind=SpanKind.CLIENT, attributes=attributes)
        self._started = time.perf_counter()
        self._last: float | None = None

    def chunk(self) -> None:
        """Record a chunk of the answer."""
        now = time.perf_counter()
        if self._last is None:
            _FIRST.record(now - self._started, self._attributes)
            if self._span is not None:
                self._span.set_attribute("gen_ai.response.time_to_first_chunk", now - self._started)
        else:
            _NEXT.record(now - self._last, self._attributes)
        self._last = now

    def end(self, reply: Reply | None, error: BaseException | None) -> None:
        """End the call: with a reply, an error, or neither if it was cancelled."""
        failed = {"error.type": type(error).__qualname__} if error else {}
        _DURATION.record(time.perf_counter() - self._started, self._attributes | failed)
        if reply:
            for kind, tokens in (("input", reply.usage.input_tokens), ("output", reply.usage.output_tokens)):
                _TOKENS.record(tokens, self._attributes | {"gen_ai.token.type": kind})
        if self._span is None:
            return
        if reply:
            self._span.set_attribute("gen_ai.usage.input_tokens", reply.usage.input_tokens)
            self._span.set_attribute("gen_ai.usage.output_tokens", reply.usage.output_tokens)
            self._span.set_attribute("gen_ai.response.finish_reasons", [reply.finish_reason])
        if error:
            tracing.mark(self._span, error)
        self._span.end()
