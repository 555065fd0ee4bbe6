"""Sending, watched: a collector that is away is worth one warning, and another line when it is back."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import structlog
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData, ScopeMetrics
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from keel.otel.encoding import encode

QUIET = ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal")
"""Libraries that would tell of each attempt, and of each span that found no place."""

log = structlog.get_logger()


class Collector:
    """What is known of the collector."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self.away = False
        self._lock = threading.Lock()
        for name in QUIET:
            logging.getLogger(name).setLevel(logging.CRITICAL)

    def answered(self, *, success: bool) -> None:
        """Tell of a change; spans, metrics and lines are sent by a thread each."""
        with self._lock:
            changed, self.away = success is self.away, not success
        if changed:
            log.warning("collector_back" if success else "collector_away", endpoint=self._endpoint)


class SpanExporter(OTLPSpanExporter):
    """Sends spans."""

    def __init__(self, collector: Collector) -> None:
        super().__init__()
        self._collector = collector

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; called by a thread of the SDK's."""
        success = self._client.export(encode(spans)).success
        self._collector.answered(success=success)
        return SpanExportResult.SUCCESS if success else SpanExportResult.FAILURE


class MetricExporter(OTLPMetricExporter):
    """Sends metrics."""

    def __init__(self, collector: Collector) -> None:
        super().__init__()
        self._collector = collector
        self.light: Callable[[], list[ScopeMetrics]] = list
        """Returns what the SDK knows nothing of."""

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = None, **kwargs: Any
    ) -> MetricExportResult:
        """Send metrics; called by a thread of the SDK's."""
        result = super().export(_with(metrics_data, self.light()), timeout_millis, **kwargs)
        self._collector.answered(success=result is MetricExportResult.SUCCESS)
        return result


class LogExporter(OTLPLogExporter):
    """Sends log lines."""

    def __init__(self, collector: Collector) -> None:
        super().__init__()
        self._collector = collector

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Send log lines; called by a thread of the SDK's."""
        result = super().export(batch)
        self._collector.answered(success=result is LogRecordExportResult.SUCCESS)
        return result


def _with(data: MetricsData, light: list[ScopeMetrics]) -> MetricsData:
    """Add to what the SDK has measured. Each package comes once: of two the exporter would forget one."""
    (resource,) = data.resource_metrics
    packages = {each.scope: each for each in resource.scope_metrics}
    for each in light:
        known = packages.get(each.scope)
        packages[each.scope] = replace(each, metrics=[*known.metrics, *each.metrics]) if known else each
    return MetricsData([replace(resource, scope_metrics=list(packages.values()))])
