"""Traces continue across jobs and messages."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from keel.db.database import Database, Session
from keel.observability.tracing import step
from keel.services import services_of
from keel.testing.support import PATIENCE
from keel.tests.otel.receiver import Receiver, attributes
from keel.tests.otel.support import Trace, flushed

tracer = trace.get_tracer("tests")


async def test_job_continues_the_trace_that_enqueued_it(app: FastAPI, database: Database) -> None:
    """Even if it is stored, and run later by another process."""
    seen: list[int] = []
    done = asyncio.Event()

    async def job(_: Session, __: Mapping[str, Any]) -> None:
        seen.append(trace.get_current_span().get_span_context().trace_id)
        done.set()

    services_of(app).jobs.register("trace", job)
    enqueued = Trace()
    try:
        with tracer.start_as_current_span("enqueue", context=enqueued.context):
            async with database.transaction() as session:
                await services_of(app).jobs.enqueue(session, "trace", {})
        async with asyncio.timeout(PATIENCE):
            await done.wait()
            await services_of(app).jobs.drain()
    finally:
        del services_of(app).jobs.handlers["trace"]

    assert [trace.format_trace_id(found) for found in seen] == [enqueued.id]


async def test_publish_is_a_span(app: FastAPI, receiver: Receiver) -> None:
    """It names the kind of topic, but not its owner."""
    published = Trace()
    async with services_of(app).pubsub.subscribe("secrets:ada") as messages:
        with tracer.start_as_current_span("change", context=published.context):
            await services_of(app).pubsub.publish("secrets:ada", "changed", "{}")
        async with asyncio.timeout(PATIENCE):
            assert (await anext(messages)).data == "{}"
    spans = (await flushed(receiver)).spans(published.id)

    (publish,) = [span for span in spans if span.name == "publish secrets"]
    assert publish.kind == Span.SPAN_KIND_PRODUCER
    assert "ada" not in str(spans)


async def test_failed_step_is_marked(app: FastAPI, receiver: Receiver) -> None:
    """The span has the error's type, but not its text."""
    failed = Trace()
    with pytest.raises(LookupError), step("look", context=failed.context):
        raise LookupError("ada@example.com")
    (span,) = (await flushed(receiver)).spans(failed.id)

    assert attributes(span.attributes)["error.type"] == "LookupError"
    assert "ada@" not in str(span)


async def test_steps_outside_a_trace_leave_no_span(app: FastAPI, receiver: Receiver) -> None:
    """Otherwise timers would be most of all traces."""
    with step("tick"):
        await services_of(app).pubsub.publish("ticks", "tick", "{}")

    assert {span.name for span in (await flushed(receiver)).spans()}.isdisjoint({"tick", "publish ticks"})
