"""Logs: structlog for the application's lines, and the same format for libraries."""

import logging
import logging.config
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import ExcInfo, Processor

from keel.about import ROOT
from keel.settings import CoreSettings

PROCESSORS: list[Processor] = []
"""Processors added by features, run on each line before it is rendered; they take effect at application startup."""


def is_wanted(record: logging.LogRecord) -> bool:
    """Whether a line is neither uvicorn's about a socket, which the middleware logs itself, nor Alembic's start-up line."""
    sockets = ("connection open", "connection closed", "connection rejected", '%s - "WebSocket')
    return not str(record.msg).startswith((*sockets, "Context impl", "Will assume"))


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
        else [structlog.dev.ConsoleRenderer(colors=_colours(), exception_formatter=_write_traceback)]
    )
    # structlog's documented fast path: cached loggers, a level fixed at wrapping time, and bytes as output.
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
            "filters": {"wanted": {"()": lambda: is_wanted}},
            "handlers": {
                "stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "shared"}
            },
            "root": {"handlers": ["stdout"], "level": settings.log_level},
            "loggers": {
                # It lists what autogenerate can compare.
                "alembic.runtime.plugins": {"level": "WARNING"},
                "alembic.runtime.migration": {"filters": ["wanted"]},
                # It would report the development server's own log as a change.
                "watchfiles": {"level": "WARNING"},
                # It would log the parameters of statements: personal data.
                "aiosqlite": {"level": "INFO"},
                "uvicorn": {"handlers": [], "propagate": True},
                "uvicorn.error": {"handlers": [], "propagate": True, "filters": ["wanted"]},
                # The middleware writes the access line; without handlers uvicorn skips its own.
                "uvicorn.access": {"handlers": [], "propagate": False},
            },
        }
    )


def _colours() -> bool:
    """Whether the output is a terminal and NO_COLOR is not set (no-color.org)."""
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


def _write_traceback(to: TextIO, error: ExcInfo) -> None:
    """Write a short traceback: the project's own frames and the last one; frames of libraries are only counted."""
    shown = traceback.TracebackException(*error, compact=True)
    chain = [*_chain(shown)]
    furthest = min([1, *(_distance(frame) for each in chain for frame in each.stack)])
    left_out = sum(_fold(each, furthest) for each in chain)
    to.write("\n" + "".join(shown.format()).rstrip())
    if left_out:
        to.write(f"\n({left_out} frames of libraries omitted; LOG_FORMAT=json shows all.)")


def _chain(error: traceback.TracebackException | None) -> Iterator[traceback.TracebackException]:
    """Yield an error, its causes and contexts, and the members of groups."""
    if error is not None:
        yield error
        for other in (error.__cause__, error.__context__, *(error.exceptions or ())):
            yield from _chain(other)


def _fold(error: traceback.TracebackException, furthest: int) -> int:
    """Remove frames that are further away, except the last; return how many."""
    before = len(error.stack)
    error.stack[:-1] = [frame for frame in error.stack[:-1] if _distance(frame) <= furthest]
    return before - len(error.stack)


def _distance(frame: traceback.FrameSummary) -> int:
    """Return whose code a frame is: 0 for the project's own, 1 for the platform, 2 for a library."""
    path = Path(frame.filename)
    if not path.is_relative_to(ROOT) or {"site-packages", ".venv"}.intersection(path.parts):
        return 2
    return int(path.is_relative_to(ROOT / "keel"))
