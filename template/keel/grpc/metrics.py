"""Telemetry of a call: access line, span, metrics.

Names are those of OpenTelemetry's semantic conventions for RPC.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any, Self

import structlog
from grpc import StatusCode
from opentelemetry import propagate, trace
from opentelemetry.context import Context as TraceContext
from opentelemetry.trace import SpanKind
from starlette.types import Scope

from keel.grpc.asgi_scope import EXEMPT, Context
from keel.grpc.errors import SERVER_FAULTS
from keel.observability import tracing
from keel.web.middleware import id_of

_DURATIONS = tracing.meter.create_histogram(
    "rpc.server.call.duration",
    unit="s",
    description="Duration of calls, streams included, by status code",
    explicit_bucket_boundaries_advisory=[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
)
_ACTIVE = tracing.meter.create_up_down_counter(
    "app.grpc.active_calls", unit="{call}", description="Calls and streams in progress"
)

SLACK = 0.1
"""Seconds by which a client's deadline may precede ours: it counts from the call, ours from the call's arrival."""

_BY_NUMBER = {code.value[0]: code for code in StatusCode}

log = structlog.get_logger()


class CallTelemetry:
    """Records one call, from its start to its end."""

    def __init__(self, scope: Scope, context: Context, *, known: bool) -> None:
        """Take a call; `known` is whether its method exists."""
        self.request_id = id_of(scope).decode()
        self._path: str = scope["path"]
        self._name = self._path.strip("/") if known else "_OTHER"
        self._headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        self._context = context
        self._code: StatusCode | None = None
        self._fault: Exception | None = None
        self._stack = AsyncExitStack()
        self._started = time.perf_counter()

    def failed(self, code: StatusCode, error: Exception) -> None:
        """Set the code and error that the call fails with."""
        self._code, self._fault = code, error

    async def __aenter__(self) -> Self:
        """Start: from here on, log lines have the request id, and spans belong to the call's span."""
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=self.request_id)
        if not self._path.startswith(EXEMPT):
            _ACTIVE.add(1)
            attributes = {"rpc.system.name": "grpc", "rpc.method": self._name}
            origin = propagate.extract(self._headers, context=TraceContext())
            self._stack.enter_context(
                tracing.step(self._name, kind=SpanKind.SERVER, context=origin, root=True, attributes=attributes)
            )
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        """End the span, record the metrics, write the access line."""
        seconds = time.perf_counter() - self._started
        code = self._code or self._ending(error)
        if not self._path.startswith(EXEMPT):
            _ACTIVE.add(-1)
            attributes = {
                "rpc.system.name": "grpc",
                "rpc.method": self._name,
                "rpc.response.status_code": code.name,
            }
            _DURATIONS.record(seconds, attributes)
            span = trace.get_current_span()
            span.set_attribute("rpc.response.status_code", code.name)
            if code in SERVER_FAULTS:
                fault = self._fault or error
                span.set_attribute("error.type", type(fault).__qualname__ if fault else code.name)
                span.set_status(trace.StatusCode.ERROR)
        log.info("request", rpc_method=self._path, code=code.name, duration_ms=round(seconds * 1000, 2))
        await self._stack.aclose()

    def _ending(self, error: BaseException | None) -> StatusCode:
        """Return the code of a call that did not end with an error of the application."""
        if isinstance(error, asyncio.CancelledError):
            left: Any = self._context.time_remaining()  # None without a deadline, whatever its type says
            return StatusCode.CANCELLED if left is None or left > SLACK else StatusCode.DEADLINE_EXCEEDED
        said: Any = self._context.code()
        return said if isinstance(said, StatusCode) else _BY_NUMBER.get(said or 0, StatusCode.UNKNOWN)
