"""Jobs continue the trace that enqueued them; their attempts are measured."""

import time
from collections.abc import Generator, MutableMapping
from contextlib import contextmanager

from opentelemetry.trace import SpanKind

from keel import clock
from keel.background.jobs import Attempt
from keel.observability.calls import carried, carrier
from keel.observability.tracing import meter, step

_SECONDS = [0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600]
_DURATIONS = meter.create_histogram(
    "app.task.duration",
    unit="s",
    description="Duration of attempts at tasks, by outcome",
    explicit_bucket_boundaries_advisory=_SECONDS,
)
_WAITS = meter.create_histogram(
    "app.task.wait",
    unit="s",
    description="Time from the creation of tasks to their first attempt",
    explicit_bucket_boundaries_advisory=_SECONDS,
)


class TracedJobs:
    """The propagator of traces."""

    def inject(self, headers: MutableMapping[str, str]) -> None:
        """Add the current trace's headers, if there is one."""
        headers.update(carrier())

    @contextmanager
    def attempting(self, attempt: Attempt) -> Generator[None]:
        """Make an attempt a span of the trace that enqueued it, or of a new trace; measure it."""
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
