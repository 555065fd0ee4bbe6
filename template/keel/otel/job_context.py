"""Work in the trace of whoever asked for it, and how attempts at it end."""

import time
from collections.abc import Generator, MutableMapping
from contextlib import contextmanager

from opentelemetry.trace import SpanKind

from keel import clock
from keel.background.job_context import Attempt
from keel.observability.tracing import carried, carrier, meter, step

_SECONDS = [0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600]
_DURATIONS = meter.create_histogram(
    "app.task.duration",
    unit="s",
    description="How long attempts at tasks took, by how they ended",
    explicit_bucket_boundaries_advisory=_SECONDS,
)
_WAITS = meter.create_histogram(
    "app.task.wait",
    unit="s",
    description="How long tasks had waited when they were begun for the first time",
    explicit_bucket_boundaries_advisory=_SECONDS,
)


class Traced:
    """Sends the trace along."""

    def inject(self, headers: MutableMapping[str, str]) -> None:
        """Add what continues the trace, if there is one."""
        headers.update(carrier())

    @contextmanager
    def attempting(self, attempt: Attempt) -> Generator[None]:
        """Make an attempt a span of the trace that asked, or the first of one; measure it."""
        name = {"app.task.name": attempt.name}
        if attempt.number == 1:
            _WAITS.record(max(0.0, (clock.now() - attempt.asked_at).total_seconds()), name)
        started, outcome = time.perf_counter(), "interrupted"
        attributes = {"messaging.operation.type": "process", "messaging.message.id": attempt.id}
        try:
            with step(
                f"process {attempt.name}",
                kind=SpanKind.CONSUMER,
                context=carried(attempt.headers),
                root=True,
                attributes=attributes,
            ):
                yield
            outcome = "succeeded"
        except Exception:
            outcome = "failed" if attempt.last else "repeated"
            raise
        finally:
            _DURATIONS.record(time.perf_counter() - started, {**name, "app.task.outcome": outcome})
