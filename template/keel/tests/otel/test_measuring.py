"""Light instruments count as the SDK's do."""

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.metrics import Meter
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics import export
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from keel.otel import measuring, meters

BOUNDS = [0.1, 1, 10]
MANY = measuring.WAITING + 3
TRACED = NonRecordingSpan(SpanContext(5, 6, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)))

Act = Callable[[Meter], object]


def record(meter: Meter) -> None:
    """Measure lengths, of which some are none."""
    histogram = meter.create_histogram("length", "s", "How long", explicit_bucket_boundaries_advisory=BOUNDS)
    for number in range(MANY):
        histogram.record(number, {"even": number % 2 == 0})
    for amount in (-1.0, float("nan"), float("inf")):
        histogram.record(amount)
    histogram.record(0.5, {"a": "x", "b": "y"})
    histogram.record(0.25, {"b": "y", "a": "x"})
    histogram.record(0.125, {"list": ["not", "hashable"]})
    histogram.record(0.0625, {"list": ["not", "hashable"]})
    again = meter.create_histogram("length", "s", "How long", explicit_bucket_boundaries_advisory=BOUNDS)
    again.record(1)


def example(meter: Meter) -> None:
    """Measure within a trace, and without one."""
    histogram = meter.create_histogram("length", explicit_bucket_boundaries_advisory=BOUNDS)
    histogram.record(3)
    with trace.use_span(TRACED):
        for amount in (0.5, 0.75, 20):
            histogram.record(amount)
    histogram.record(4, context=trace.set_span_in_context(TRACED))


def count(meter: Meter) -> None:
    """Count what grows, and what comes and goes."""
    for _ in range(MANY):
        meter.create_counter("ships", "{ship}", "Ships").add(2, {"pier": "a"})
    meter.create_counter("ships").add(-1)
    docked = meter.create_up_down_counter("docked", "{ship}", "Ships that are here")
    for amount in (1, 1, -1, *[1] * MANY):
        docked.add(amount, {"pier": "b"})
    docked.add(0.5)


ACTS: dict[str, Act] = {
    "lengths": record,
    "examples": example,
    "sums": count,
    "no bounds": lambda meter: meter.create_histogram("any").record(3),
    "gauges": lambda meter: meter.create_gauge("level").set(3),
    "nothing": lambda meter: meter.create_histogram("none", explicit_bucket_boundaries_advisory=BOUNDS),
}


def measured(kind: type[sdk.MeterProvider], act: Act) -> dict[str, Any]:
    """Return all that is reported, by the name of the instrument, but for the time of day."""
    reader = export.InMemoryMetricReader()
    provider = kind([reader], shutdown_on_exit=False)
    act(provider.get_meter("tests", "1", "https://schema"))
    data = reader.get_metrics_data()
    scopes = list(data.resource_metrics[0].scope_metrics) if data else []
    if isinstance(provider, meters.MeterProvider):
        scopes += provider.collect()
    return {metric.name: _timeless(scope, metric) for scope in scopes for metric in scope.metrics}


def _timeless(scope: export.ScopeMetrics, metric: export.Metric) -> Any:
    points = []
    for point in metric.data.data_points:
        fields = {name: value for name, value in vars(point).items() if "time" not in name}
        fields["exemplars"] = {(each.value, each.trace_id, each.span_id) for each in point.exemplars}
        points.append(fields)
    points.sort(key=lambda fields: str(fields["attributes"]))
    about = (scope.scope.name, scope.scope.version, scope.schema_url, metric.description, metric.unit)
    return (*about, type(metric.data), getattr(metric.data, "aggregation_temporality", None), points)


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_what_is_measured(act: Act) -> None:
    """Each comes to the same report as by the SDK's own instruments."""
    assert measured(meters.MeterProvider, act) == measured(sdk.MeterProvider, act)


def test_examples_are_of_one_report() -> None:
    """What was told once is not told again."""
    provider = meters.MeterProvider(shutdown_on_exit=False)
    example(provider.get_meter("tests"))
    reported = [provider.collect()[0].metrics[0].data.data_points[0] for _ in range(2)]

    assert [len(point.exemplars) for point in reported] == [3, 0]
    assert [point.count for point in reported] == [5, 5]  # ty: ignore[missing-union-attribute]


def test_too_many_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes beyond the limit is counted together."""
    monkeypatch.setattr(measuring, "SERIES", 2)

    def act(meter: Meter) -> None:
        for number in range(5):
            meter.create_up_down_counter("sum").add(1, {"number": number})

    (*_, points) = measured(meters.MeterProvider, act)["sum"]
    assert {point["value"] for point in points if "otel.metric.overflow" in point["attributes"]} == {3}
    assert len(points) == 3


def test_what_is_left_to_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Differences instead of sums, if a variable asks for them."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    meter = meters.MeterProvider(shutdown_on_exit=False).get_meter("tests")

    assert isinstance(meter, sdk.Meter)
