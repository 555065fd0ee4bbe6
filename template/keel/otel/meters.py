"""Where light instruments come from.

Gauges, what is observed, and histograms without bounds are the SDK's; all instruments are, if a variable asks for other
than the usual.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from opentelemetry import metrics
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics import export
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.util.types import Attributes

from keel.otel.measuring import Counter, Histogram, UpDownCounter

C = TypeVar("C", Counter, UpDownCounter)

SPECIAL = frozenset(
    {
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        "OTEL_METRICS_EXEMPLAR_FILTER",
    }
)
"""Variables that ask for what only the SDK's instruments do."""


class MeterProvider(sdk.MeterProvider):
    """The SDK's provider; its meters make light instruments."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._light: dict[InstrumentationScope, Meter] = {}

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> metrics.Meter:
        """Return the meter of a package."""
        usual = super().get_meter(name, version, schema_url, attributes)
        if not isinstance(usual, sdk.Meter) or not SPECIAL.isdisjoint(os.environ):
            return usual
        return self._light.setdefault(InstrumentationScope(name, version, schema_url, attributes), Meter(usual))

    def collect(self) -> list[export.ScopeMetrics]:
        """Return what the light histograms have counted, which the SDK knows nothing of."""
        return [
            export.ScopeMetrics(scope, found, scope.schema_url or "")
            for scope, meter in list(self._light.items())
            if (found := [metric for each in list(meter.histograms.values()) if (metric := each.collect())])
        ]


def _as_usual(create: str) -> Any:
    def method(self: "Meter", *arguments: Any, **options: Any) -> Any:
        return getattr(self.usual, create)(*arguments, **options)

    return method


class Meter(metrics.Meter):
    """Makes instruments."""

    def __init__(self, usual: sdk.Meter) -> None:
        super().__init__(usual.name, usual.version, usual.schema_url)
        self.usual = usual
        self.histograms: dict[str, Histogram] = {}
        self._sums: dict[str, Counter | UpDownCounter] = {}

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> metrics.Histogram:
        """Return the histogram of a name; without bounds it is the SDK's."""
        if not explicit_bucket_boundaries_advisory:
            return self.usual.create_histogram(name, unit, description)
        light = Histogram(name, unit, description, explicit_bucket_boundaries_advisory)
        return self.histograms.setdefault(name, light)

    def create_counter(self, name: str, unit: str = "", description: str = "") -> metrics.Counter:
        """Return the counter of a name."""
        return self._summing(Counter, self.usual.create_observable_counter, name, unit, description)

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> metrics.UpDownCounter:
        """Return the counter of a name."""
        return self._summing(UpDownCounter, self.usual.create_observable_up_down_counter, name, unit, description)

    def _summing(self, kind: type[C], observe: Callable[..., object], name: str, unit: str, description: str) -> C:
        counter = self._sums.get(name)
        if not isinstance(counter, kind):
            counter = self._sums[name] = kind(name, unit, description)
            observe(name, [counter.observe], unit, description)
        return counter

    create_gauge = _as_usual("create_gauge")
    create_observable_counter = _as_usual("create_observable_counter")
    create_observable_gauge = _as_usual("create_observable_gauge")
    create_observable_up_down_counter = _as_usual("create_observable_up_down_counter")
