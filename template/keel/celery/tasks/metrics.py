"""Metrics of publishing; attempts are measured through `keel.background.jobs`."""

from keel.observability.tracing import meter

_SENDING = meter.create_histogram(
    "messaging.client.operation.duration",
    unit="s",
    description="How long it took the broker to accept a batch of messages",
    explicit_bucket_boundaries_advisory=[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10],
)


def record_publish(system: str, seconds: float, error: BaseException | None) -> None:
    """Record the duration of publishing a batch, and the error if it failed."""
    failure = {"error.type": type(error).__qualname__} if error else {}
    _SENDING.record(seconds, {"messaging.system": system, "messaging.operation.name": "send", **failure})
