"""What spans may not say."""

import re

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span
from opentelemetry.sdk.trace.export import BatchSpanProcessor

QUERY = "url.query"
_VALUE = re.compile("=[^&]*")


class WithoutValues(BatchSpanProcessor):
    """Sends spans without the values of queries: what people search for, tokens and addresses are nobody's business."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - as the SDK calls it
        """Leave the names."""
        attributes = span.attributes
        if attributes and QUERY in attributes:
            span.set_attribute(QUERY, _VALUE.sub("=REDACTED", str(attributes[QUERY])))
