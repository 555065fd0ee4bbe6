"""Tracebacks for people: the frames of their own code, and where it ended. Those of libraries are counted."""

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from structlog.typing import ExcInfo

from keel.about import ROOT

NOT_OWN = ("site-packages", ".venv", "keel")


def write(to: TextIO, error: ExcInfo) -> None:
    """Write a traceback without anybody's variables: structlog's `exception_formatter`."""
    shown = traceback.TracebackException(*error, compact=True)
    chain = [*_chain(shown)]
    left_out = sum(map(_fold, chain)) if any(_is_own(frame) for each in chain for frame in each.stack) else 0
    to.write("\n" + "".join(shown.format()).rstrip())
    if left_out:
        to.write(f"\n({left_out} frames of libraries are left out; with LOG_FORMAT=json, all are there.)")


def _chain(error: traceback.TracebackException | None) -> Iterator[traceback.TracebackException]:
    """Yield an error, those that led to it, and those of groups."""
    if error is not None:
        yield error
        for other in (error.__cause__, error.__context__, *(error.exceptions or ())):
            yield from _chain(other)


def _fold(error: traceback.TracebackException) -> int:
    """Leave out the frames of libraries, but for the last; return how many these are."""
    before = len(error.stack)
    error.stack[:-1] = [frame for frame in error.stack[:-1] if _is_own(frame)]
    return before - len(error.stack)


def _is_own(frame: traceback.FrameSummary) -> bool:
    path = Path(frame.filename)
    return path.is_relative_to(ROOT) and not any(part in NOT_OWN for part in path.relative_to(ROOT).parts)
