"""Parts of a project's pipeline that combinations do not run: coverage, fuzzing, fault injection."""

from __future__ import annotations

import subprocess
from itertools import product
from typing import TYPE_CHECKING

from tests.machinery import selection
from tests.machinery.combinations import Combination, extremes
from tests.machinery.examination import suite_environment
from tests.machinery.questions import DATABASE, Questions
from tests.machinery.rendering import ROOT, render
from tests.machinery.warm import base_environment

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.machinery.resources import Resources

#: What the README of a project says to run, and what its pipeline runs.
RUNS = {"coverage": ("-n", "auto", "--cov"), "fuzz": ("-m", "fuzz"), "faults": ("-m", "faults")}
#: The quarter of fuzzing that finds most: valid requests, of callers who may do nothing and everything.
BRIEFLY = {"brief-fuzz": (*RUNS["fuzz"], "-k", "positive and (stranger or administrator)")}
_NO_TESTS = 5


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The coverage of the smallest and brief fuzzing of the largest; with `--full`, all of it for all extremes."""
    chosen = extremes(Questions.load(ROOT / "copier.yml"))
    few = [(chosen[0], "coverage"), *((chosen[-1], run) for run in BRIEFLY)]
    cases = list(product(chosen, RUNS)) if selection.is_full(metafunc.config) else few
    names = [f"{combination.id}-{run}" for combination, run in cases]
    metafunc.parametrize(("chosen", "run"), cases, ids=names)


def test_the_thorough_runs_pass(resources: Resources, tmp_path: Path, chosen: Combination, run: str) -> None:
    """At least 95 % of branches are covered, no response violates the contract, and killed servers recover."""
    project = render(resources.template, tmp_path / "project", chosen.answers)
    servers = suite_environment(resources, str(chosen.answers[DATABASE]))
    result = subprocess.run(
        [str(resources.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *(RUNS | BRIEFLY)[run]],
        cwd=project,
        env={**base_environment(resources.python), **servers},
        capture_output=True,
        text=True,
        check=False,
    )
    nothing_to_kill = run == "faults" and result.returncode == _NO_TESTS
    assert result.returncode == 0 or nothing_to_kill, (result.stdout + result.stderr)[-8000:]
