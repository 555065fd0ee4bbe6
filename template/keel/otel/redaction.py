"""Redaction of spans."""

import re

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span
from opentelemetry.sdk.trace.export import BatchSpanProcessor

QUERY = "url.query"
_VALUE = re.compile("=[^&]*")


class RedactingSpanProcessor(BatchSpanProcessor):
    """Keeps the names of query parameters and replaces their values: search terms, tokens and addresses are personal data."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the SDK's signature
        """Redact `url.query`, which FastAPI sets when a span starts."""
        attributes = span.attributes
        if attributes and QUERY in attributes:
            span.set_attribute(QUERY, _VALUE.sub("=REDACTED", str(attributes[QUERY])))
