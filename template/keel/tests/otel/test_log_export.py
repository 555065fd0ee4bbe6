"""Log lines carry their trace's ids, on standard output and at the collector."""

import json
import logging

import pytest
import structlog
from opentelemetry import trace

from keel.observability import logs
from keel.settings import CoreSettings
from keel.tests.otel.receiver import Receiver, attributes
from keel.tests.otel.support import Trace, flushed

tracer = trace.get_tracer("tests")


async def test_line_has_the_ids_of_its_span(
    app: object, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """Written and exported lines have the same fields, including lines of libraries."""
    logs.configure(CoreSettings(log_format="json"))
    structlog.contextvars.clear_contextvars()
    with tracer.start_as_current_span("work", context=Trace().context) as span:
        structlog.get_logger().warning("rope_torn", length=3)
        logging.getLogger("library").warning("It went %s", "wrong")
    expected = trace.format_trace_id(span.get_span_context().trace_id)

    written = {line["event"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert written["rope_torn"]["trace_id"] == written["It went wrong"]["trace_id"] == expected
    sent = {line.body.string_value: line for line in (await flushed(receiver)).lines()}
    torn, wrong = sent["rope_torn"], sent["It went wrong"]
    assert torn.trace_id.hex() == wrong.trace_id.hex() == expected
    assert torn.span_id.hex() == trace.format_span_id(span.get_span_context().span_id)
    assert attributes(torn.attributes) == {"length": 3}
    assert (torn.severity_text, attributes(wrong.attributes)["logger"]) == ("WARNING", "library")


async def test_exceptions_are_exported_with_their_traceback(app: object, receiver: Receiver) -> None:
    """Exceptions of the application, and those logged by libraries."""
    logs.configure(CoreSettings(log_format="json"))
    try:
        raise LookupError("no such rope")
    except LookupError:
        structlog.get_logger().exception("rope_lost")
        logging.getLogger("library").exception("lost too")

    sent = {line.body.string_value: attributes(line.attributes) for line in (await flushed(receiver)).lines()}
    for event in ("rope_lost", "lost too"):
        assert sent[event]["exception.type"] == "LookupError"
        assert "no such rope" in sent[event]["exception.stacktrace"]
