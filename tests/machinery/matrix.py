"""Examine many combinations in parallel, say how far it is, and how to repeat what failed."""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Self

from tests.machinery.examination import Bench, Report, Worker
from tests.machinery.rendering import NAMED, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future
    from types import TracebackType

    from tests.machinery.combinations import Combination

#: Seconds between two lines of progress.
_PACE = 15.0


class Matrix:
    """Combinations under examination by a pool of workers, one per processor. A context manager."""

    def __init__(self, bench: Bench, combinations: Sequence[Combination], say: Callable[[str], None]) -> None:
        """Take what to examine, and how to say how far it is."""
        self._combinations = combinations
        self._answers = {item.id: item.answers for item in combinations}
        self._bench = bench
        self._say = say
        self._futures: dict[str, Future[Report]] = {}
        self._started = self._spoke = time.monotonic()
        self._pool = ProcessPoolExecutor(
            min(os.cpu_count() or 1, len(combinations)),
            mp_context=get_context("spawn"),
            initializer=Worker.start,
            initargs=(bench,),
        )

    def __enter__(self) -> Self:
        """Begin with all combinations, in their order."""
        self._futures = {item.id: self._pool.submit(Worker.examine, item) for item in self._combinations}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; what has not begun is given up."""
        self._pool.shutdown(cancel_futures=True)

    def report(self, combination: Combination) -> Report:
        """The report on one combination, waiting for it and saying how far everything is meanwhile."""
        future = self._futures[combination.id]
        while True:
            try:
                report = future.result(timeout=1)
            except TimeoutError:
                self._progress()
                continue
            self._progress()
            return report

    @property
    def reports(self) -> list[Report]:
        """The reports that there are."""
        return [
            future.result() for future in self._futures.values() if future.done() and not future.cancelled()
        ]

    def summary(self) -> list[str]:
        """What the run has to say in the end."""
        reports = self.reports
        own = [report for report in reports if not report.same_as]
        seconds = time.monotonic() - self._started
        lines = [f"{len(reports)} combinations in {seconds:.0f} s; {len(own)} differ in Python"]
        if own:
            dearest = max(own, key=lambda report: report.cpu)
            lines.append(f"dearest suite: {dearest.cpu:.2f} s of CPU ({dearest.id})")
        failed = [report for report in reports if report.problems or not report.passed]
        lines += [f"FAILED {report.id}: {reproduce(self._answers[report.id])}" for report in failed]
        return lines

    def _progress(self) -> None:
        now = time.monotonic()
        if now - self._spoke < _PACE:
            return
        self._spoke = now
        reports = self.reports
        bad = sum(bool(report.problems) or not report.passed for report in reports)
        elapsed = now - self._started
        left = elapsed / len(reports) * (len(self._futures) - len(reports)) if reports else 0
        self._say(
            f"{len(reports)} of {len(self._futures)} combinations, {bad} failed, "
            f"{elapsed:.0f} s, about {left:.0f} s left"
        )


def reproduce(answers: Mapping[str, object], destination: str = "/tmp/keel-result") -> str:  # noqa: S108 - shown
    """One line of shell that copies this combination and runs its tests."""
    everything = {**NAMED, **answers}
    data = " ".join(f"--data {name}={_shell(value)}" for name, value in everything.items())
    return (
        f"rm -rf {destination} && uvx copier copy --vcs-ref=HEAD --defaults {data} {ROOT} {destination} "
        f"&& cd {destination} && uv run pytest"
    )


def _shell(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return f"'{text}'" if " " in text else text
