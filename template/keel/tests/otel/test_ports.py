"""What goes from one place to another goes on in the same trace, whoever carries it."""

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


async def test_a_job_belongs_to_whoever_asked(app: FastAPI, database: Database) -> None:
    """Also if it is stored, and done later by another process."""
    seen: list[int] = []
    done = asyncio.Event()

    async def job(_: Session, __: Mapping[str, Any]) -> None:
        seen.append(trace.get_current_span().get_span_context().trace_id)
        done.set()

    services_of(app).jobs.register("trace", job)
    asked = Trace()
    try:
        with tracer.start_as_current_span("ask", context=asked.context):
            async with database.transaction() as session:
                await services_of(app).jobs.enqueue(session, "trace", {})
        async with asyncio.timeout(PATIENCE):
            await done.wait()
            await services_of(app).jobs.drain()
    finally:
        del services_of(app).jobs.handlers["trace"]

    assert [trace.format_trace_id(found) for found in seen] == [asked.id]


async def test_publishing_is_a_span(app: FastAPI, receiver: Receiver) -> None:
    """It says which kind of topic, and not whose."""
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


async def test_a_step_that_fails(app: FastAPI, receiver: Receiver) -> None:
    """It is marked with the kind of error, whose text stays here."""
    failed = Trace()
    with pytest.raises(LookupError), step("look", context=failed.context):
        raise LookupError("ada@example.com")
    (span,) = (await flushed(receiver)).spans(failed.id)

    assert attributes(span.attributes)["error.type"] == "LookupError"
    assert "ada@" not in str(span)


async def test_steps_of_no_trace_are_none(app: FastAPI, receiver: Receiver) -> None:
    """What a timer does every second would be most of all traces."""
    with step("tick"):
        await services_of(app).pubsub.publish("ticks", "tick", "{}")

    assert {span.name for span in (await flushed(receiver)).spans()}.isdisjoint({"tick", "publish ticks"})
