"""Requests and statements as spans, as received by a collector."""

from fastapi import FastAPI
from httpx2 import AsyncClient
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from keel.services import services_of
from keel.tests.otel.receiver import Receiver, attributes
from keel.tests.otel.support import Trace, flushed
from keel.tests.widgets.api import WIDGETS


def names(spans: list[Span]) -> list[str]:
    """Return the distinct names of spans."""
    return list(dict.fromkeys(span.name for span in spans))


async def test_request_is_a_span_with_its_statements(client: AsyncClient, receiver: Receiver) -> None:
    """It continues the caller's trace: a span named after the route, with one span per statement."""
    trace = Trace()
    widget = (await client.post(WIDGETS, json={"title": "Ahoy"}, headers=trace.headers)).json()
    spans = (await flushed(receiver)).spans(trace.id)

    (request,) = [span for span in spans if span.kind == Span.SPAN_KIND_SERVER]
    assert request.parent_span_id.hex() == trace.parent
    assert len(receiver.processes(trace.id)) == 1
    assert request.name == f"POST {WIDGETS}"
    assert attributes(request.attributes)["http.route"] == WIDGETS
    assert attributes(request.attributes)["http.response.status_code"] == 201
    assert {"INSERT widgets", "COMMIT"} <= set(names(spans))
    statements = [span for span in spans if span.name in {"INSERT widgets", "COMMIT"}]
    assert {span.parent_span_id for span in statements} == {request.span_id}
    assert widget["id"] not in str(statements)


async def test_statements_are_recorded_without_values(client: AsyncClient, receiver: Receiver) -> None:
    """A span has the statement's text, with placeholders for values."""
    trace = Trace()
    await client.post(WIDGETS, json={"title": "Secret plan", "body": "hush"}, headers=trace.headers)
    spans = (await flushed(receiver)).spans(trace.id)

    (insert,) = [span for span in spans if span.name == "INSERT widgets"]
    assert "INSERT INTO widgets" in attributes(insert.attributes)["db.query.text"]
    assert "Secret plan" not in str(spans)
    assert "hush" not in str(spans)


async def test_query_values_are_redacted(client: AsyncClient, receiver: Receiver) -> None:
    """A search term may be personal data."""
    trace = Trace()
    await client.get(WIDGETS, params={"search": "my illness", "limit": 5}, headers=trace.headers)
    spans = (await flushed(receiver)).spans(trace.id)

    assert attributes(spans[0].attributes)["url.query"] == "search=REDACTED&limit=REDACTED"
    assert "illness" not in str(spans)


async def test_failed_statement_and_request_are_marked(app: FastAPI, client: AsyncClient, receiver: Receiver) -> None:
    """The statement's span has the error's type, but not its text; the request's span is marked as failed, too."""
    trace = Trace()

    @app.get("/broken")
    async def broken() -> None:
        from sqlalchemy import text

        await services_of(app).database.read.all(text("SELECT secret FROM nowhere"))

    try:
        await client.get("/broken", headers=trace.headers)
    finally:
        app.router.routes.pop()
    spans = (await flushed(receiver)).spans(trace.id)
    request = next(span for span in spans if span.kind == Span.SPAN_KIND_SERVER)
    statement = next(span for span in spans if span.name == "SELECT nowhere")

    assert request.status.code == statement.status.code == Status.STATUS_CODE_ERROR
    assert attributes(statement.attributes)["error.type"]
    assert statement.status.message == ""


async def test_probes_leave_no_span(client: AsyncClient, receiver: Receiver) -> None:
    """An orchestrator sends a probe every few seconds."""
    trace = Trace()
    for path in ("/healthz", "/readyz"):
        await client.get(path, headers=trace.headers)

    assert (await flushed(receiver)).spans(trace.id) == []


async def test_callers_sampling_decision_is_followed(client: AsyncClient, receiver: Receiver) -> None:
    """A trace that its first service does not sample is not recorded here."""
    trace = Trace(sampled=False)
    await client.get(WIDGETS, headers=trace.headers)

    assert (await flushed(receiver)).spans(trace.id) == []


async def test_resource_and_headers(client: AsyncClient, receiver: Receiver) -> None:
    """The resource names service, version, environment and process; requests have the configured headers."""
    await client.get(WIDGETS)
    about, _ = next(iter((await flushed(receiver)).reports()))

    assert about["service.version"]
    assert about["service.name"] == about["service.name"].lower()
    assert about["deployment.environment.name"] == "test"
    assert len(about["service.instance.id"]) == 36
    assert receiver.headers["authorization"] == "Basic abc"
