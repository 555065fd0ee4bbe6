"""Distribution of a run over processes: tests that share expensive fixtures stay together, and the longest go first.

Suites spend as much time waiting for sockets and servers as computing, so there are more processes than processors.
"""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling

from tests.machinery import selection
from tests.machinery.questions import Questions
from tests.machinery.rendering import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

QUESTIONS = Questions.load(ROOT / "copier.yml")

#: Their tests share projects with edits and rows, one for each database; each takes half a minute.
_PROMISES = ("test_late_enabling", "test_switching_off")
#: Their tests share the deployment files of the combinations.
_DEPLOYED = ("test_cluster", "test_deploy", "test_pipeline")
#: Their tests share nothing.
_ALONE = ("test_isolated", "test_thorough")
#: Files whose tests take long, the longest first.
_LONG = (
    *_PROMISES,
    "test_upgrading",
    "test_seeded_faults",
    *_ALONE,
    "test_walkthroughs",
    "test_examples_by_hand",
    "test_telemetry",
    "test_generator",
    "test_any_owner",
    "test_messages",
    "test_clients",
)


class Scheduler(LoadScopeScheduling):
    """Distributes units of tests in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)


def processes(config: pytest.Config) -> int:
    """Return the number of processes for a run; only this one if certain tests were requested."""
    if config.getoption("file_or_dir") or config.getoption("keyword") or config.getoption("markexpr"):
        return 0
    named = len(config.getoption("combination") or ())
    most = 2 * (os.cpu_count() or 1)
    return most if not named else min(named, most) if named > 1 else 0


def unit(nodeid: str) -> str:
    """Return the unit of a test, which one process runs in sequence: by default, a file."""
    path, _, test = nodeid.partition("::")
    stem, case = PurePosixPath(path).stem, test.partition("[")[2].rstrip("]")
    if stem == "test_combinations":
        # Combinations that share their Python side are examined once, and no other worker waits for it.
        return "+".join(word for word in case.split("+") if word in _python_words())
    if stem in _PROMISES:
        return next(
            (f"lived in {kind}" for kind in QUESTIONS.databases.values if case.endswith(kind)), nodeid
        )
    if stem in _DEPLOYED:
        return "deployed"
    return nodeid if stem in _ALONE else path


def arrange(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the tests in the order of their start: slow files, combinations, then all others."""
    return sorted(items, key=_turn)


def _turn(item: pytest.Item) -> tuple[int, int]:
    combination = selection.combination_of(item)
    if combination is not None:
        return len(_LONG), -sum(value is True for value in combination.answers.values())
    return (_LONG.index(item.path.stem), 0) if item.path.stem in _LONG else (len(_LONG) + 1, 0)


def _python_words() -> set[str]:
    return {*map(str, QUESTIONS.databases.values), *QUESTIONS.toggles}
