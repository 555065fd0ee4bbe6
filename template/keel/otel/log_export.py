"""Log lines get the ids of their trace and span, and are exported as well as written."""

import sys
import time
from collections.abc import Mapping, MutableMapping
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import Logger, LogRecord, SeverityNumber  # private: the library has no other name for logs

SEVERITIES: Mapping[str, SeverityNumber] = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warning": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
    "critical": SeverityNumber.FATAL,
}

Line = MutableMapping[str, Any]

ACCESS = "request"
"""The access line is not exported: the request's span has the same data."""

_NO_ATTRIBUTES = frozenset({"event", "level", "timestamp", "exc_info", "trace_id", "span_id"})


class LogExport:
    """A processor of structlog that adds trace ids to a line and exports it."""

    def __init__(self) -> None:
        self.logger: Logger | None = None
        """None until the providers of the process exist."""

    def __call__(self, _logger: Any, _method: str, line: Line) -> Line:
        """Process a line."""
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            line["trace_id"] = trace.format_trace_id(context.trace_id)
            line["span_id"] = trace.format_span_id(context.span_id)
        if self.logger is not None and line["event"] != ACCESS and not _about_telemetry(line):
            self.logger.emit(_record(line))
        return line


def _about_telemetry(line: Line) -> bool:
    """Whether exporting a line could cause the next one."""
    record = line.get("_record")
    return record is not None and record.name.partition(".")[0] in {"opentelemetry", "requests", "urllib3"}


def _record(line: Line) -> LogRecord:
    level = line.get("level", "info")
    library = {"logger": line["_record"].name} if "_record" in line else {}
    return LogRecord(
        timestamp=time.time_ns(),
        severity_text=level.upper(),
        severity_number=SEVERITIES.get(level, SeverityNumber.INFO),
        body=str(line["event"]),
        attributes=library
        | {
            name: value if isinstance(value, (str, bool, int, float)) else str(value)
            for name, value in line.items()
            if name not in _NO_ATTRIBUTES and not name.startswith("_")
        },
        exception=_exception(line.get("exc_info")),
    )


def _exception(given: Any) -> BaseException | None:
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple):
        return given[1]
    return sys.exc_info()[1] if given else None


log_export = LogExport()
"""One per process, as is the configuration of logging."""
