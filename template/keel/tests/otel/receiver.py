"""A collector for tests, on loopback: it accepts OTLP over HTTP, and keeps what it gets."""

import gzip
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Receiver:
    """Runs in a `with` block. Bodies are parsed on access."""

    def __init__(self, *, status: int = 200) -> None:
        """Respond to every request with a status."""
        self.status = status
        self.received: list[tuple[str, bytes]] = []
        self.headers: Mapping[str, str] = {}
        self.answering = threading.Event()
        """While it is not set, requests are accepted and not answered."""
        self.answering.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """Return the address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def spans(self, trace_id: str | None = None) -> list[Span]:
        """Return the spans of a trace, or all, ordered by start."""
        found = [
            span
            for body in self._bodies("/v1/traces")
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
            if trace_id is None or span.trace_id.hex() == trace_id
        ]
        return sorted(found, key=lambda span: span.start_time_unix_nano)

    def processes(self, trace_id: str) -> set[str]:
        """Return the `service.instance.id`s with spans in a trace."""
        return {
            attributes(resource.resource.attributes)["service.instance.id"]
            for body in self._bodies("/v1/traces")
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            if any(span.trace_id.hex() == trace_id for scope in resource.scope_spans for span in scope.spans)
        }

    def lines(self) -> list[LogRecord]:
        """Return the log lines."""
        return [
            record
            for body in self._bodies("/v1/logs")
            for resource in ExportLogsServiceRequest.FromString(body).resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def metrics(self) -> dict[str, Metric]:
        """Return the last export of each metric."""
        return {metric.name: metric for _, metric in self.reports()}

    def reports(self) -> Iterator[tuple[dict[str, Any], Metric]]:
        """Yield each exported metric with its resource's attributes, in order of arrival."""
        for body in self._bodies("/v1/metrics"):
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                about = attributes(resource.resource.attributes)
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        yield about, metric

    def _bodies(self, path: str) -> list[bytes]:
        return [body for where, body in list(self.received) if where == path]


def attributes(pairs: Any) -> dict[str, Any]:
    """Return attributes as a dictionary."""
    return {pair.key: _value(pair) for pair in pairs}


def points(metric: Metric) -> list[Any]:
    """Return the data points of a metric of any kind."""
    return list(getattr(metric, metric.WhichOneof("data") or "gauge").data_points)


def _value(pair: KeyValue) -> Any:
    value: AnyValue = pair.value
    return getattr(value, value.WhichOneof("value") or "string_value")


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.received.append((self.path, body))
            receiver.answering.wait()
            self.send_response(receiver.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in the base class
            """Say nothing."""

    return Handler
