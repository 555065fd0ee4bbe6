"""A project's tests can fail: each fault seeded in it is found."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.machinery import seeded_faults
from tests.machinery.bytecode import share_bytecode
from tests.machinery.combinations import Combination, combine, default_set, extremes
from tests.machinery.examination import SUITE, suite_environment
from tests.machinery.questions import DATABASE
from tests.machinery.rendering import render
from tests.machinery.shares import Shares

if TYPE_CHECKING:
    from pathlib import Path

    from tests.machinery.questions import Questions
    from tests.machinery.resources import Resources
    from tests.machinery.seeded_faults import Fault
    from tests.machinery.warm import WarmProcess

BEHAVIOUR = seeded_faults.load("behaviour")
FORM = seeded_faults.load("form")
TEMPLATE = seeded_faults.load("template")
#: When each file was compiled last: a fault changes one.
_COMPILED: dict[Path, int] = {}


@pytest.fixture(scope="module")
def largest(questions: Questions) -> Combination:
    """Everything, on SQLite, with the example."""
    return next(c for c in reversed(extremes(questions)) if c.answers[DATABASE] == "sqlite")


@pytest.fixture(scope="module")
def project(template: Path, largest: Combination, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which faults are seeded."""
    return render(template, tmp_path_factory.mktemp("faults") / "project", largest.answers)


def _run(project: Path, resources: Resources, warm: WarmProcess, *tests: str) -> tuple[int, str]:
    share_bytecode(project, resources.scratch / "bytecode", _COMPILED)
    outcome = warm.run(
        "pytest", *SUITE, "-x", *tests, directory=project, environment=suite_environment(resources, "sqlite")
    )
    return outcome.status, outcome.tail()


def test_nothing_is_found_without_a_fault(project: Path, resources: Resources, warm: WarmProcess) -> None:
    """The tests that find faults pass before any is seeded."""
    status, said = _run(project, resources, warm, *{fault.found_by for fault in BEHAVIOUR})

    assert status == 0, said


def test_the_default_run_finds_them(project: Path, largest: Combination, questions: Questions) -> None:
    """By default this project's suite is run whole, including every test that finds a fault."""
    assert combine(questions, largest.answers) in default_set(questions)
    assert Shares(questions).left_out(largest, project) == []


@pytest.mark.parametrize("fault", BEHAVIOUR, ids=lambda fault: fault.name)
def test_a_fault_of_behaviour_is_found(
    fault: Fault, project: Path, resources: Resources, warm: WarmProcess
) -> None:
    """Its test fails."""
    with fault.seeded(project):
        status, said = _run(project, resources, warm, fault.found_by)

    assert status == 1, said


@pytest.mark.parametrize("fault", FORM, ids=lambda fault: fault.name)
def test_a_fault_of_form_is_found(
    fault: Fault,
    project: Path,
    largest: Combination,
    questions: Questions,
    resources: Resources,
    warm: WarmProcess,
) -> None:
    """Its check reports something, which it does not without the fault: the combinations are checked, too."""
    check = seeded_faults.checks(project, questions, largest.answers, resources, warm)[fault.found_by]
    with fault.seeded(project):
        share_bytecode(project, resources.scratch / "bytecode", _COMPILED)
        found = list(check())

    assert found


@pytest.mark.parametrize("fault", TEMPLATE, ids=lambda fault: fault.name)
def test_a_fault_of_the_template_is_found(
    fault: Fault,
    template: Path,
    questions: Questions,
    resources: Resources,
    warm: WarmProcess,
    tmp_path: Path,
) -> None:
    """The check finds it in the smallest project."""
    (smallest, *_) = extremes(questions)
    changed = shutil.copytree(template, tmp_path / "template")
    with fault.seeded(changed):
        project = render(changed, tmp_path / "project", smallest.answers)
    check = seeded_faults.checks(project, questions, smallest.answers, resources, warm)[fault.found_by]

    assert list(check())
