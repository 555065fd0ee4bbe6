"""Following a trace from the outside."""

import asyncio
import secrets

from keel.observability.tracing import carried
from keel.testing.support import PATIENCE
from keel.tests.otel.receiver import Receiver


class Trace:
    """A trace that a caller begins."""

    def __init__(self, *, sampled: bool = True) -> None:
        self.id = secrets.token_hex(16)
        self.parent = secrets.token_hex(8)
        self.headers = {"traceparent": f"00-{self.id}-{self.parent}-{sampled:02x}"}
        self.context = carried(self.headers)


async def flushed(receiver: Receiver) -> Receiver:
    """Return the collector once it has all that this process has to tell."""
    from keel.otel.providers import providers
    from keel.otel.settings import TelemetrySettings

    assert await asyncio.to_thread(providers(TelemetrySettings.load()).flush, PATIENCE)
    return receiver
