"""Logs: structlog for the application's lines, and the same format for those of libraries."""

import logging
import logging.config
import os
import sys
from typing import Any

import orjson
import structlog
from structlog.typing import Processor

from keel.observability import tracebacks
from keel.settings import CoreSettings

PROCESSORS: list[Processor] = []
"""Processors of features, run on each line before it is rendered; they take effect at the start of an application."""


def is_of_no_socket(record: logging.LogRecord) -> bool:
    """Whether a line of uvicorn is not about a socket that opens or closes: the middleware writes one itself."""
    template = str(record.msg)
    return not template.startswith(("connection open", "connection closed", "connection rejected", '%s - "WebSocket'))


def configure(settings: CoreSettings) -> None:
    """Configure structlog and the standard library's logging for this process."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *PROCESSORS,
    ]
    rendering: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_dumps)]
        if settings.json_logs
        else [structlog.dev.ConsoleRenderer(colors=_colours(), exception_formatter=tracebacks.write)]
    )
    # Cached loggers, a level known at wrapping time and bytes that go straight out: the documented fast path.
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        logger_factory=_bytes_logger if settings.json_logs else _text_logger,
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "shared": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": [*shared, structlog.stdlib.add_logger_name],
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        *_as_text(rendering),
                    ],
                }
            },
            "filters": {"no sockets": {"()": lambda: is_of_no_socket}},
            "handlers": {
                "stdout": {
                    "class": "logging.StreamHandler",
                    "stream": "ext://sys.stdout",
                    "formatter": "shared",
                }
            },
            "root": {"handlers": ["stdout"], "level": settings.log_level},
            "loggers": {
                # It lists what autogenerate is able to compare.
                "alembic.runtime.plugins": {"level": "WARNING"},
                # It would report the development server's own log as a change.
                "watchfiles": {"level": "WARNING"},
                # It would log the parameters of statements: personal data.
                "aiosqlite": {"level": "INFO"},
                "uvicorn": {"handlers": [], "propagate": True},
                "uvicorn.error": {"handlers": [], "propagate": True, "filters": ["no sockets"]},
                # The middleware writes the access line; without handlers uvicorn skips its own.
                "uvicorn.access": {"handlers": [], "propagate": False},
            },
        }
    )


def _colours() -> bool:
    """Whether the output is a terminal, whose owner does not mind colours (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _bytes_logger(*_: Any) -> structlog.BytesLogger:
    """Write to the current standard output, which tests capture."""
    return structlog.BytesLogger(sys.stdout.buffer)


def _text_logger(*_: Any) -> structlog.PrintLogger:
    return structlog.PrintLogger(sys.stdout)


def _dumps(event: Any, **_: Any) -> bytes:
    return orjson.dumps(event, default=str)


def _as_text(rendering: list[Processor]) -> list[Processor]:
    """Decode the bytes of the fast path for the standard library's handlers."""

    def decode(_logger: Any, _name: str, rendered: Any) -> Any:
        return rendered.decode() if isinstance(rendered, bytes) else rendered

    return [*rendering, decode]
