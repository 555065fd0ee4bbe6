"""Tracebacks for people: the frames of their own code, and where it ended. Those of libraries are counted."""

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from structlog.typing import ExcInfo

from keel.about import ROOT


def write(to: TextIO, error: ExcInfo) -> None:
    """Write a traceback without local variables: structlog's `exception_formatter`."""
    shown = traceback.TracebackException(*error, compact=True)
    chain = [*_chain(shown)]
    furthest = min([1, *(_distance(frame) for each in chain for frame in each.stack)])
    left_out = sum(_fold(each, furthest) for each in chain)
    to.write("\n" + "".join(shown.format()).rstrip())
    if left_out:
        to.write(f"\n({left_out} frames of libraries are left out; with LOG_FORMAT=json, all are there.)")


def _chain(error: traceback.TracebackException | None) -> Iterator[traceback.TracebackException]:
    """Yield an error, those that led to it, and those of groups."""
    if error is not None:
        yield error
        for other in (error.__cause__, error.__context__, *(error.exceptions or ())):
            yield from _chain(other)


def _fold(error: traceback.TracebackException, furthest: int) -> int:
    """Leave out frames that are further away, but for the last; return how many these are."""
    before = len(error.stack)
    error.stack[:-1] = [frame for frame in error.stack[:-1] if _distance(frame) <= furthest]
    return before - len(error.stack)


def _distance(frame: traceback.FrameSummary) -> int:
    """Return how far code is from its reader: 0 is the project's own, 1 the platform, 2 a library."""
    path = Path(frame.filename)
    if not path.is_relative_to(ROOT) or {"site-packages", ".venv"}.intersection(path.parts):
        return 2
    return int(path.is_relative_to(ROOT / "keel"))
