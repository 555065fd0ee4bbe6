"""The SDK's OTLP exporters; they report the collector's state, which is logged once per change."""

import logging
import threading
from collections.abc import Sequence
from typing import Any

import structlog
from opentelemetry.exporter.otlp.proto.http._log_exporter import (  # private: the library has no other name for logs
    OTLPLogExporter,
)
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import ReadableLogRecord  # private: the library has no other name for logs
from opentelemetry.sdk._logs.export import LogRecordExportResult  # private: the library has no other name for logs
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

QUIET = ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal")
"""Loggers that would write a line for each failed attempt and each dropped span."""

log = structlog.get_logger()


class Collector:
    """Whether the collector is available; the exporters of all signals share one."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._available = True
        self._lock = threading.Lock()
        for name in QUIET:
            logging.getLogger(name).setLevel(logging.CRITICAL)

    def report(self, *, success: bool) -> None:
        """Record the outcome of an export, and log a change of it. Each signal is exported by its own thread."""
        with self._lock:
            changed, self._available = success is not self._available, success
        if changed:
            log.warning("collector_recovered" if success else "collector_unavailable", endpoint=self._endpoint)


class SpanExporter(OTLPSpanExporter):
    """Exports spans."""

    def __init__(self, collector: Collector) -> None:
        super().__init__()
        self._collector = collector

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export a batch."""
        result = super().export(spans)
        self._collector.report(success=result is SpanExportResult.SUCCESS)
        return result


class MetricExporter(OTLPMetricExporter):
    """Exports metrics."""

    def __init__(self, collector: Collector) -> None:
        super().__init__()
        self._collector = collector

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = None, **kwargs: Any
    ) -> MetricExportResult:
        """Export collected metrics."""
        result = super().export(metrics_data, timeout_millis, **kwargs)
        self._collector.report(success=result is MetricExportResult.SUCCESS)
        return result


class LogExporter(OTLPLogExporter):
    """Exports log records."""

    def __init__(self, collector: Collector) -> None:
        super().__init__()
        self._collector = collector

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Export a batch."""
        result = super().export(batch)
        self._collector.report(success=result is LogRecordExportResult.SUCCESS)
        return result
