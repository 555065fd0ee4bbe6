"""Where spans, measurements and log lines go to: set up once in each process, after servers and workers have forked."""

import threading
from dataclasses import dataclass

from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from keel.otel.exporting import Collector, LogExporter, MetricExporter, SpanExporter
from keel.otel.gauges import Gauges
from keel.otel.meters import MeterProvider
from keel.otel.privacy import WithoutValues
from keel.otel.resource import describe
from keel.otel.settings import TelemetrySettings
from keel.otel.spans import TracerProvider


@dataclass(frozen=True, slots=True)
class Providers:
    """What this process sends by; a signal that is not sent has none."""

    collector: Collector
    traces: TracerProvider | None
    metrics: MeterProvider | None
    logs: LoggerProvider | None
    readings: Gauges | None

    def flush(self, seconds: float) -> bool:
        """Send what waits; return whether that was done in time.

        A collector that is slow must not keep a process from ending, and the SDK knows no limit: so this is done by a
        thread that ends with the process.
        """
        thread = threading.Thread(target=self._flush, name="telemetry-flush", daemon=True)
        thread.start()
        thread.join(seconds)
        return not thread.is_alive()

    def shutdown(self) -> None:
        """Stop the threads; nothing can be sent any more."""
        for provider in (self.traces, self.logs, self.metrics):
            if provider is not None:
                provider.shutdown()

    def _flush(self) -> None:
        for provider in (self.traces, self.logs, self.metrics):
            if provider is not None:
                provider.force_flush()


_of_this_process: list[Providers] = []


def providers(settings: TelemetrySettings) -> Providers:
    """Return the providers of this process, set up by the first who asks: OpenTelemetry takes no others after them."""
    if not _of_this_process:
        chosen = make(settings)
        _of_this_process.append(chosen)
        if chosen.metrics:
            metrics.set_meter_provider(chosen.metrics)
        if chosen.traces:
            trace.set_tracer_provider(chosen.traces)
        if chosen.logs:
            _logs.set_logger_provider(chosen.logs)
    return _of_this_process[0]


def make(settings: TelemetrySettings) -> Providers:
    """Return providers that nobody uses yet; their threads run."""
    settings.export()
    resource = describe(settings)
    collector = Collector(settings.exporter_otlp_endpoint)
    traces = meters = lines = readings = None
    if settings.traces_exporter == "otlp":
        traces = TracerProvider(resource=resource, shutdown_on_exit=False)
        traces.add_span_processor(WithoutValues(SpanExporter(collector)))
    if settings.metrics_exporter == "otlp":
        exporter = MetricExporter(collector)
        reader = PeriodicExportingMetricReader(exporter, settings.metric_export_interval)
        meters = MeterProvider([reader], resource, shutdown_on_exit=False)
        exporter.light = meters.collect
        readings = Gauges(meters.get_meter("app"), settings.metric_export_interval / 1000)
    if settings.logs_exporter == "otlp":
        lines = LoggerProvider(resource, shutdown_on_exit=False)
        lines.add_log_record_processor(BatchLogRecordProcessor(LogExporter(collector)))
    return Providers(collector, traces, meters, lines, readings)
