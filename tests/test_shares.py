"""How test files are shared out among the combinations."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING

from tests.machinery.combinations import Group, default_set
from tests.machinery.questions import DATABASE
from tests.machinery.rendering import ROOT
from tests.machinery.shares import STRENGTH, Shares, is_absent, shared_files
from tests.machinery.text_checks import absent_patterns

if TYPE_CHECKING:
    from tests.machinery.combinations import Combination
    from tests.machinery.questions import Questions

PROJECT = ROOT / "template"  # its tests lie where those of a project do
FILES = shared_files(PROJECT)


def groups(questions: Questions, row: Combination) -> set[Group]:
    """The groups of answers that meet in a combination."""
    names = (DATABASE, *questions.toggles, *questions.parts)
    return {frozenset(group) for group in combinations(((n, row.answers[n]) for n in names), STRENGTH)}


def test_any_three_answers_meet_in_each_file(questions: Questions) -> None:
    """Where they meet in a combination that has the file at all, they meet in one that runs it; most others don't."""
    shares, possible, met = (
        Shares(questions),
        defaultdict[str, set[Group]](set),
        defaultdict[str, set[Group]](set),
    )
    there = run = 0
    for row in default_set(questions):
        left, absent = shares.left_out(row, PROJECT), absent_patterns(questions, row.answers)
        for path in FILES:
            if not is_absent(path, absent):
                there += 1
                possible[path] |= groups(questions, row)
                if path not in left:
                    run += 1
                    met[path] |= groups(questions, row)

    assert FILES
    assert met == possible
    assert run < there * 0.6, f"{run} of {there}"


def test_suites_that_are_run_whole(questions: Questions) -> None:
    """Nothing is left out where at most one feature is on, or all are; every other combination has a share."""
    shares = Shares(questions)
    for row in default_set(questions):
        on = sum(row.answers[name] is True for name in questions.toggles)
        left = shares.left_out(row, PROJECT)

        assert bool(left) == (1 < on < len(questions.toggles)), row.id
        assert len(left) < len(FILES)


def test_the_same_for_results_that_share_their_python(questions: Questions) -> None:
    """They are examined once for all, so the answers that make no difference there make none here."""
    shares = Shares(questions)
    rows = default_set(questions)
    by_python = defaultdict[object, set[tuple[str, ...]]](set)
    for row in rows:
        key = tuple(row.answers[name] for name in (DATABASE, *questions.toggles, *questions.parts))
        by_python[key].add(tuple(shares.left_out(row, PROJECT)))

    assert {len(found) for found in by_python.values()} == {1}
