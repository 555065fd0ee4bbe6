"""The interceptor for all calls."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from fastapi import FastAPI
from google.protobuf.empty_pb2 import Empty
from google.rpc import error_details_pb2
from opentelemetry import trace
from opentelemetry.context import Context as TraceContext
from sqlalchemy import text
from structlog.testing import capture_logs

from keel.caller import GUEST, VerifiedCaller
from keel.grpc import auth, metrics
from keel.grpc.interceptors import CallInterceptor
from keel.observability import tracing
from keel.services import services_of
from keel.testing.support import connections_in_use
from keel.tests.grpc.probe.grpc import NAME, Waiting
from keel.tests.grpc.probe.widgets import SERVICE
from keel.tests.grpc.support import TIMEOUT, Widgets, refused
from keel.web.errors import Forbidden
from keel.web.rate_limit import RateLimit

PROBE = f"/{NAME}"


def unary(channel: grpc.aio.Channel, method: str, request: bytes = b"", **options: Any) -> Any:
    """Call a method that takes and gives bytes."""
    return channel.unary_unary(method)(request, timeout=options.pop("timeout", TIMEOUT), **options)


class Lines:
    """Access log lines, as they arrive."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def info(self, _: str, **fields: Any) -> None:
        """Take a line."""
        self.found.append(fields)

    async def codes(self, count: int) -> list[str]:
        """Return the codes of this many lines: one may be written after the client has its response."""
        async with asyncio.timeout(TIMEOUT):
            while len(self.found) < count:
                await asyncio.sleep(0.005)
        return [line["code"] for line in self.found]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    """Return the access log lines of a test."""
    lines = Lines()
    monkeypatch.setattr(metrics, "log", lines)
    return lines


async def test_access_line(widgets: Widgets, lines: Lines) -> None:
    """Each call writes one line, with its code and duration."""
    await widgets.list()
    await refused(widgets.get("none"))

    assert await lines.codes(2) == ["OK", "INVALID_ARGUMENT"]
    names = [f"/{SERVICE}/{method}" for method in ("List", "Get")]
    assert [line["rpc_method"] for line in lines.found] == names
    assert all(line["duration_ms"] > 0 for line in lines.found)


async def test_request_id(widgets: Widgets, channel: grpc.aio.Channel) -> None:
    """A call keeps the id in its metadata, or gets a new one; errors and log lines have it too."""
    call = widgets.call("List", Empty(), ("x-request-id", "abc-1"))
    await call
    with capture_logs() as logged:
        failed = await refused(unary(channel, f"{PROBE}/Fail"))

    assert dict(await call.trailing_metadata())["x-request-id"] == "abc-1"
    said = failed.detail(error_details_pb2.RequestInfo).request_id
    assert said == failed.metadata["x-request-id"]
    assert said not in {"", "abc-1"}
    assert [line["event"] for line in logged if line["log_level"] == "error"] == ["unhandled_error"]


async def test_unexpected_errors_are_not_disclosed(channel: grpc.aio.Channel) -> None:
    """Neither before nor after the first message; the log has the details."""
    with capture_logs() as logged:
        failed = await refused(unary(channel, f"{PROBE}/Fail"))
        late = channel.unary_stream(f"{PROBE}/FailLate")(b"", timeout=TIMEOUT)
        assert await late.read() == b"first"
        broken = await refused(late.read())

    for refusal in (failed, broken):
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
        assert "secret" not in str(refusal)
    assert [line["event"] for line in logged].count("unhandled_error") == 2


async def test_unknown_methods(channel: grpc.aio.Channel, lines: Lines) -> None:
    """They are UNIMPLEMENTED, and write an access log line."""
    for method in (f"{PROBE}/Sing", "/nowhere/Sing"):
        assert (await refused(unary(channel, method))).code is grpc.StatusCode.UNIMPLEMENTED
    assert await lines.codes(2) == ["UNIMPLEMENTED"] * 2


async def test_malformed_message(channel: grpc.aio.Channel) -> None:
    """A malformed message is an INVALID_ARGUMENT."""
    refusal = await refused(unary(channel, f"/{SERVICE}/Get", b"\xff\xff"))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


async def test_message_size_limit(channel: grpc.aio.Channel) -> None:
    """Messages above GRPC_MAX_MESSAGE_SIZE are refused."""
    refusal = await refused(unary(channel, f"{PROBE}/Fail", bytes(1_048_577)))

    assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_every_kind_of_method(channel: grpc.aio.Channel, lines: Lines) -> None:
    """Request streams, messages written by a method itself, and statuses that it sets work."""

    async def three() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x"

    assert await channel.stream_unary(f"{PROBE}/Count")(three(), timeout=TIMEOUT) == b"3"
    assert [each async for each in channel.unary_stream(f"{PROBE}/Write")(b"a", timeout=TIMEOUT)] == [b"a", b"a"]
    assert (await refused(unary(channel, f"{PROBE}/GiveUp"))).code is grpc.StatusCode.DATA_LOSS
    assert await lines.codes(3) == ["OK", "OK", "DATA_LOSS"]


async def test_deadlines(app: FastAPI, channel: grpc.aio.Channel, lines: Lines) -> None:
    """A call whose deadline passes ends, and its transaction is rolled back."""
    app.state.waiting = waiting = Waiting()
    seconds = 0.1
    while not waiting.begun.is_set():
        seconds *= 2  # However slow the machine is, in the end the method runs when the deadline passes.
        refusal = await refused(unary(channel, f"{PROBE}/StoreAndWait", timeout=seconds))
        assert refusal.code is grpc.StatusCode.DEADLINE_EXCEEDED

    await undone(app, waiting)
    # The deadline may pass first by either clock.
    assert set(await lines.codes(1)) <= {"DEADLINE_EXCEEDED", "CANCELLED"}


@pytest.mark.parametrize(
    ("left", "code"),
    [(None, "CANCELLED"), (5.0, "CANCELLED"), (0.01, "DEADLINE_EXCEEDED"), (-0.2, "DEADLINE_EXCEEDED")],
)
async def test_cancelled_or_deadline_exceeded(app: FastAPI, lines: Lines, left: float | None, code: str) -> None:
    """A client may cancel by its own clock, just before the server's deadline."""

    class Call:
        def time_remaining(self) -> float | None:
            return left

    call: Any = Call()
    with pytest.raises(asyncio.CancelledError):
        async with metrics.CallTelemetry({"path": "/a/B", "headers": []}, call, known=True):
            raise asyncio.CancelledError

    assert await lines.codes(1) == [code]


async def test_cancelled_call(app: FastAPI, channel: grpc.aio.Channel, lines: Lines) -> None:
    """It ends, and its transaction is rolled back."""
    app.state.waiting = waiting = Waiting()
    call = unary(channel, f"{PROBE}/StoreAndWait")
    async with asyncio.timeout(TIMEOUT):
        await waiting.begun.wait()
    call.cancel()

    await undone(app, waiting)
    assert await lines.codes(1) == ["CANCELLED"]


async def undone(app: FastAPI, waiting: Waiting) -> None:
    """Wait until the method has ended; check that it has stored nothing."""
    async with asyncio.timeout(TIMEOUT):
        await waiting.ended.wait()
        while connections_in_use(services_of(app).database):
            await asyncio.sleep(0.005)
    assert await services_of(app).database.read.scalar(text("SELECT count(*) FROM widgets")) == 0


async def test_rate_limit(app: FastAPI, widgets: Widgets, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller's calls and HTTP requests share one limit; a refusal has a retry delay."""
    limit = RateLimit("2/hour")
    limit.key = services_of(app).rate_limit.key
    monkeypatch.setattr(services_of(app).rate_limit, "hit", limit.hit)
    await widgets.list()
    allowed = widgets.call("List", Empty())
    await allowed
    refusal = await refused(widgets.list())

    assert dict(await allowed.trailing_metadata())["ratelimit"].startswith('"default";r=0;')
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED")
    assert refusal.detail(error_details_pb2.RetryInfo).retry_delay.seconds > 0


def test_without_a_rate_limit(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """RATE_LIMIT may be empty."""
    monkeypatch.setattr(services_of(app), "settings", services_of(app).settings.model_copy(update={"rate_limit": ""}))

    assert CallInterceptor(app)._limit is None


async def test_callers_are_authenticated(widgets: Widgets, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers are authenticated by the bearer token in their metadata, for the method's scopes."""
    asked: list[tuple[Any, list[str]]] = []

    async def verify_caller(_: object, token: str | None, scopes: Any) -> VerifiedCaller:
        asked.append((token, list(scopes)))
        if token == "weak":
            raise Forbidden("This needs the scope widgets:write.")
        return VerifiedCaller(GUEST)

    monkeypatch.setattr(auth, "verify_caller", verify_caller)
    widgets.metadata = (("authorization", "bearer strong"),)
    await widgets.list()
    widgets.metadata = (("authorization", "Bearer weak"),)
    refusal = await refused(widgets.create())
    widgets.metadata = (("authorization", "Basic abc"),)
    await widgets.list()

    assert refusal.code is grpc.StatusCode.PERMISSION_DENIED
    assert asked == [("strong", ["widgets:read"]), ("weak", ["widgets:write"]), (None, ["widgets:read"])]


class Spans:
    """A tracer that keeps the attributes of each span."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []

    def start_span(self, name: str, context: TraceContext, _: object, attributes: dict[str, Any]) -> trace.Span:
        """Begin a span."""
        said = {"name": name, "trace": trace.get_current_span(context).get_span_context().trace_id, **attributes}
        self.made.append(said)

        class Kept(trace.NonRecordingSpan):
            def set_attribute(self, key: str, value: Any) -> None:
                said[key] = value

            def set_status(self, status: Any, description: str | None = None) -> None:  # noqa: ARG002 - as in the base class
                said["status"] = status

        return Kept(trace.INVALID_SPAN_CONTEXT)


async def test_spans_and_metrics(widgets: Widgets, channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call is a span of the caller's trace, and is measured; unknown methods create no series."""
    spans, measured = Spans(), list[dict[str, Any]]()
    monkeypatch.setattr(tracing, "tracer", spans)
    monkeypatch.setattr(metrics, "_DURATIONS", _Recorder(measured))
    parent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    await widgets.call("List", Empty(), ("traceparent", parent))
    await refused(widgets.get("none"))
    await refused(unary(channel, "/made/up"))

    names = [f"{SERVICE}/{method}" for method in ("List", "Get")] + ["_OTHER"]
    codes = ["OK", "INVALID_ARGUMENT", "UNIMPLEMENTED"]
    made = [span for span in spans.made if "rpc.method" in span]
    assert [span["name"] for span in made] == names == [each["rpc.method"] for each in measured]
    assert [span["rpc.response.status_code"] for span in made] == codes
    assert [each["rpc.response.status_code"] for each in measured] == codes
    assert [span["trace"] for span in made] == [int("a" * 32, 16), 0, 0]
    assert [span.get("status") for span in made] == [None, None, trace.StatusCode.ERROR]


class _Recorder:
    def __init__(self, measured: list[dict[str, Any]]) -> None:
        self._measured = measured

    def record(self, _: float, attributes: dict[str, Any]) -> None:
        self._measured.append(attributes)
