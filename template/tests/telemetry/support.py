"""Following a trace from the outside."""

import asyncio
import secrets

from app.core.observing import carried
from tests.support import PATIENCE
from tests.telemetry.receiver import Receiver


class Trace:
    """A trace that a caller begins."""

    def __init__(self, *, sampled: bool = True) -> None:
        self.id = secrets.token_hex(16)
        self.parent = secrets.token_hex(8)
        self.headers = {"traceparent": f"00-{self.id}-{self.parent}-{sampled:02x}"}
        self.context = carried(self.headers)


async def flushed(receiver: Receiver) -> Receiver:
    """Return the collector once it has all that this process has to tell."""
    from app.telemetry.providers import providers
    from app.telemetry.settings import TelemetrySettings

    assert await asyncio.to_thread(providers(TelemetrySettings.load()).flush, PATIENCE)
    return receiver
