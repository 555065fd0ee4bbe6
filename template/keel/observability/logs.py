"""Logs: structlog for the application's own lines, and the same shape for those of libraries."""

import logging
import logging.config
import sys
from typing import Any

import orjson
import structlog
from structlog.typing import Processor

from keel.settings import CoreSettings

PROCESSORS: list[Processor] = []
"""What packages do with each line before it is written; an application that starts makes it take effect."""


def is_of_no_socket(record: logging.LogRecord) -> bool:
    """Whether a line of uvicorn's is none of those for a socket that opens or closes: our middleware writes one."""
    template = str(record.msg)
    return not template.startswith(("connection open", "connection closed", "connection rejected", '%s - "WebSocket'))


def configure(settings: CoreSettings) -> None:
    """Set structlog and the standard library's logging up for this process."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *PROCESSORS,
    ]
    rendering: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_dumps)]
        if settings.json_logs
        else [structlog.dev.ConsoleRenderer()]
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
                # What autogenerate is able to compare is no news.
                "alembic.runtime.plugins": {"level": "WARNING"},
                # The development server's own log would be a change that it reports.
                "watchfiles": {"level": "WARNING"},
                # It would show what statements are given: people's data.
                "aiosqlite": {"level": "INFO"},
                "uvicorn": {"handlers": [], "propagate": True},
                "uvicorn.error": {"handlers": [], "propagate": True, "filters": ["no sockets"]},
                # One access line per request is written by our own middleware; without handlers uvicorn skips its own.
                "uvicorn.access": {"handlers": [], "propagate": False},
            },
        }
    )


def _bytes_logger(*_: Any) -> structlog.BytesLogger:
    """Write to standard output as it is now, which matters where it is captured."""
    return structlog.BytesLogger(sys.stdout.buffer)


def _text_logger(*_: Any) -> structlog.PrintLogger:
    return structlog.PrintLogger(sys.stdout)


def _dumps(event: Any, **_: Any) -> bytes:
    return orjson.dumps(event, default=str)


def _as_text(rendering: list[Processor]) -> list[Processor]:
    """Handlers of the standard library want text where the fast path renders bytes."""

    def decode(_logger: Any, _name: str, rendered: Any) -> Any:
        return rendered.decode() if isinstance(rendered, bytes) else rendered

    return [*rendering, decode]
