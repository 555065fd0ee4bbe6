"""Every combination of answers: what is rendered is checked, and its own tests are run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.machinery.examination import Report


def test_checks(report: Report) -> None:
    """The result reads as if written by hand for these answers, and is sound."""
    if report.problems:
        found = "\n\n".join(f"--- {check}:\n{text}" for check, text in report.problems.items())
        pytest.fail(f"{report.id}\n{report.reproduce}\n\n{found}", pytrace=False)


def test_own_tests(report: Report) -> None:
    """The result's own tests pass."""
    if not report.passed:
        pytest.fail(f"{report.id}\n{report.reproduce}\n\n{report.suite}", pytrace=False)
