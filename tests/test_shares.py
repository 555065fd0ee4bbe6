"""How test files are distributed among the combinations."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import combinations
from typing import TYPE_CHECKING

import pytest

from tests.machinery.combinations import Combination, Group, default_set, extremes, full_set
from tests.machinery.questions import DATABASE
from tests.machinery.rendering import ROOT
from tests.machinery.shares import FULL_STRENGTH, STRENGTH, Shares, is_absent, shared_files
from tests.machinery.text_checks import absent_patterns
from tests.test_selection import NAMES, nine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.machinery.questions import Questions

PROJECT = ROOT / "template"  # its tests lie where those of a project do
FILES = shared_files(PROJECT)


def groups(questions: Questions, row: Combination, strength: int = STRENGTH) -> set[Group]:
    """The groups of answers that meet in a combination."""
    names = (DATABASE, *questions.toggles, *questions.parts)
    return {frozenset(group) for group in combinations(((n, row.answers[n]) for n in names), strength)}


def on(questions: Questions, row: Combination) -> list[str]:
    """The features that a combination has."""
    return [name for name in questions.toggles if row.answers[name] is True]


def left_out(shares: Shares, questions: Questions, row: Combination, project: Path = PROJECT) -> list[str]:
    """The files that are not run with these answers; all are in the smallest project, where coverage is measured."""
    return [] if row == extremes(questions)[0] else shares.left_out(row, project)


def test_any_three_answers_meet_in_each_file(questions: Questions) -> None:
    """Where they meet in a combination that has the file at all, they meet in one that runs it; most others don't.

    Of a file that hangs on answers, three of which one is among these.
    """
    shares = Shares(questions)
    have, run = defaultdict[str, list[Combination]](list), defaultdict[str, list[Combination]](list)
    for row in default_set(questions):
        left, absent = left_out(shares, questions, row), absent_patterns(questions, row.answers)
        for path in FILES:
            if not is_absent(path, absent):
                have[path].append(row)
                if path not in left:
                    run[path].append(row)

    assert FILES
    for path, rows in have.items():
        own = set.intersection(*(set(row.answers.items()) for row in rows))
        possible = set[Group]().union(*(groups(questions, row) for row in rows))
        met = set[Group]().union(*(groups(questions, row) for row in run[path]))
        assert met >= {group for group in possible if group & own or not own}, path
    assert sum(map(len, run.values())) < 0.35 * sum(map(len, have.values()))


def test_any_four_answers_meet_in_a_full_run(questions: Questions, tmp_path: Path) -> None:
    """Everywhere for a platform file, with the feature for a feature's, in a few of the combinations."""
    files = {"keel/tests/web/test_paths.py": None, "keel/tests/auth/test_users.py": ("auth", True)}
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("", encoding="utf-8")
    shares, rows = Shares(questions, full=True), full_set(questions)
    left = {row.id: left_out(shares, questions, row, tmp_path) for row in rows}
    for name, own in files.items():
        have = [row for row in rows if own is None or own in row.answers.items()]
        run = [row for row in have if name not in left[row.id]]
        possible = set[Group]().union(*(groups(questions, row, FULL_STRENGTH) for row in have))
        met = set[Group]().union(*(groups(questions, row, FULL_STRENGTH) for row in run))

        assert met >= {group for group in possible if own is None or own in group}, name
        assert len(run) < 0.1 * len(have)


def test_suites_that_are_run_whole(questions: Questions) -> None:
    """Projects without features, and with all of them and the example, run everything; every other one has a share.

    Coverage is measured in the smallest one, so its suite is not run a second time.
    """
    shares, smallest = Shares(questions), extremes(questions)[0]
    assert set(shares.left_out(smallest, PROJECT)) == set(shared_files(PROJECT))
    for row in default_set(questions):
        if row == smallest:
            continue
        most = len(on(questions, row)) == len(questions.toggles)
        parts = all(row.answers[part] for part in questions.parts)
        left = shares.left_out(row, PROJECT)

        assert bool(left) == (not parts or not (most or not on(questions, row))), row.id


def test_smallest_project_with_a_feature(questions: Questions) -> None:
    """It runs all of the feature's tests, in a combination with the example and a minimum of features."""
    shares, rows = Shares(questions), default_set(questions)
    seen = set()
    for row in rows:
        absent = absent_patterns(questions, row.answers)
        left = [path for path in shares.left_out(row, PROJECT) if not is_absent(path, absent)]
        for name in shares.own(row):
            others = [other for other in rows if other.answers[name] and other.answers["example"]]
            assert len(on(questions, row)) == min(len(on(questions, other)) for other in others)
            assert not [path for path in left if name in path.split("/")]
            seen.add(name)

    assert seen == set(questions.toggles)


@pytest.mark.parametrize("count", [6, 7, 8, 9])
def test_toggles_add_few_runs(tmp_path: Path, count: int) -> None:
    """A platform file is run in a quarter of the combinations, a feature's in a sixth."""
    questions = nine(NAMES[:count])
    files = {"keel/tests/web/test_paths.py": 20, "keel/tests/auth/test_users.py": 12}
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("", encoding="utf-8")
    shares = Shares(questions)
    run = Counter[str]()
    for row in default_set(questions):
        absent = absent_patterns(questions, row.answers)
        there = {name for name in files if not is_absent(name, absent)}
        run.update(there - set(left_out(shares, questions, row, tmp_path)))

    assert all(run[name] <= most for name, most in files.items()), run


def test_the_same_for_results_that_share_their_python(questions: Questions) -> None:
    """They are examined once for all, so answers that make no difference there make none here."""
    shares = Shares(questions)
    rows = default_set(questions)
    by_python = defaultdict[object, set[tuple[str, ...]]](set)
    for row in rows:
        key = tuple(row.answers[name] for name in (DATABASE, *questions.toggles, *questions.parts))
        by_python[key].add(tuple(shares.left_out(row, PROJECT)))

    assert {len(found) for found in by_python.values()} == {1}
