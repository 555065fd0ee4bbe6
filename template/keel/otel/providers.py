"""The SDK's providers: created once per process, after servers and workers have forked."""

import threading
from dataclasses import dataclass

from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider  # private: the library has no other name for logs
from opentelemetry.sdk._logs import LoggerProvider  # private: the library has no other name for logs
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor  # private: the library has no other name for logs
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider

from keel.otel.exporters import Collector, LogExporter, MetricExporter, SpanExporter
from keel.otel.redaction import RedactingSpanProcessor
from keel.otel.resource import describe
from keel.otel.runtime_metrics import RuntimeMetrics
from keel.otel.settings import OtelSettings


@dataclass(frozen=True, slots=True)
class Providers:
    """The providers of this process; None for a signal that is not exported."""

    traces: TracerProvider | None
    metrics: MeterProvider | None
    logs: LoggerProvider | None
    runtime: RuntimeMetrics | None
    """Set if `metrics` is."""

    def flush(self, seconds: float) -> bool:
        """Export everything queued; return whether that was done in time.

        The SDK's flush has no time limit, but a slow collector must not keep a process from ending, so it runs in a
        daemon thread.
        """
        thread = threading.Thread(target=self._flush, name="telemetry-flush", daemon=True)
        thread.start()
        thread.join(seconds)
        return not thread.is_alive()

    def _flush(self) -> None:
        for provider in (self.traces, self.logs, self.metrics):
            if provider is not None:
                provider.force_flush()


_of_this_process: list[Providers] = []


def get_providers(settings: OtelSettings) -> Providers:
    """Return the providers of this process, created on the first call: OpenTelemetry's globals can only be set once."""
    if not _of_this_process:
        providers = make_providers(settings)
        _of_this_process.append(providers)
        if providers.metrics:
            metrics.set_meter_provider(providers.metrics)
        if providers.traces:
            trace.set_tracer_provider(providers.traces)
        if providers.logs:
            set_logger_provider(providers.logs)
    return _of_this_process[0]


def make_providers(settings: OtelSettings) -> Providers:
    """Return running providers, which are not yet OpenTelemetry's globals."""
    settings.export()
    resource = describe(settings)
    collector = Collector(settings.exporter_otlp_endpoint)
    traces = meters = logs = runtime = None
    if settings.traces_exporter == "otlp":
        traces = TracerProvider(resource=resource, shutdown_on_exit=False)
        traces.add_span_processor(RedactingSpanProcessor(SpanExporter(collector)))
    if settings.metrics_exporter == "otlp":
        reader = PeriodicExportingMetricReader(MetricExporter(collector), settings.metric_export_interval)
        meters = MeterProvider([reader], resource, shutdown_on_exit=False)
        runtime = RuntimeMetrics(meters.get_meter("app"))
    if settings.logs_exporter == "otlp":
        logs = LoggerProvider(resource, shutdown_on_exit=False)
        logs.add_log_record_processor(BatchLogRecordProcessor(LogExporter(collector)))
    return Providers(traces, meters, logs, runtime)
