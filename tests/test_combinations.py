"""Every combination of answers is rendered and checked, and its own tests are run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.machinery.progress import PROPERTY, reproduce

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.machinery.combinations import Combination
    from tests.machinery.examination import Report


@pytest.fixture(autouse=True)
def command(report: Report, combination: Combination, record_property: Callable[[str, object], None]) -> str:
    """How to repeat it; told to the summary, too."""
    command = reproduce(combination.answers)
    told = {
        "id": report.id,
        "cpu": report.cpu,
        "tests": report.tests,
        "same_as": report.same_as,
        "stages": report.stages,
        "files": report.files,
        "reproduce": command,
    }
    record_property(PROPERTY, told)
    return command


def test_checks(report: Report, command: str) -> None:
    """The project has no trace of other answers, and passes all checks."""
    if report.problems:
        found = "\n\n".join(f"--- {check}:\n{text}" for check, text in report.problems.items())
        pytest.fail(f"{report.id}\n{command}\n\n{found}", pytrace=False)


def test_own_tests(report: Report, command: str) -> None:
    """The project's own tests pass."""
    if not report.passed:
        pytest.fail(f"{report.id}\n{command}\n\n{report.suite}", pytrace=False)
