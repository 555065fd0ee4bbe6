"""All tests export to a collector, so that everything is tested with telemetry enabled."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from keel.tests.otel.receiver import Receiver

ENVIRONMENT: dict[str, str | Callable[[pytest.FixtureRequest], str]] = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": lambda request: request.getfixturevalue("receiver").url,
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20abc",
    "OTEL_METRIC_EXPORT_INTERVAL": "3600000",
    # Tests of traces start one of their own; the other tests save the time.
    "OTEL_TRACES_SAMPLER": "parentbased_always_off",
}


@pytest.fixture(scope="session")
def receiver() -> "Iterator[Receiver]":
    """Return the collector."""
    from keel.tests.otel.receiver import Receiver  # Not before pytest knows the modules of other fixtures.

    with Receiver() as receiver:
        yield receiver
