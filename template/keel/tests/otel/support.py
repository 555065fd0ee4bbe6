"""Helpers for tests of telemetry."""

import asyncio
import secrets

from keel.observability.calls import carried
from keel.testing.support import PATIENCE
from keel.tests.otel.receiver import Receiver


class Trace:
    """A trace that a caller started."""

    def __init__(self, *, sampled: bool = True) -> None:
        self.id = secrets.token_hex(16)
        self.parent = secrets.token_hex(8)
        self.headers = {"traceparent": f"00-{self.id}-{self.parent}-{sampled:02x}"}
        self.context = carried(self.headers)


async def flushed(receiver: Receiver) -> Receiver:
    """Return the collector once it has everything queued in this process."""
    from keel.otel.providers import get_providers
    from keel.otel.settings import OtelSettings

    assert await asyncio.to_thread(get_providers(OtelSettings.load()).flush, PATIENCE)
    return receiver
