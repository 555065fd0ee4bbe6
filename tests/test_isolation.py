"""A rendered project's tests do not touch its developer's data."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.machinery.combinations import extremes
from tests.machinery.examination import suite_environment
from tests.machinery.questions import DATABASE, Questions
from tests.machinery.rendering import ROOT, render

if TYPE_CHECKING:
    from pathlib import Path

    from tests.machinery.combinations import Combination
    from tests.machinery.resources import Resources

SMALLEST, *_, LARGEST = extremes(Questions.load(ROOT / "copier.yml"))
#: Databases of a developer that do not answer.
NOWHERE = {
    "sqlite": "sqlite+aiosqlite:////nowhere/app.db",
    "postgresql": "postgresql+asyncpg://nobody@127.0.0.1:1/nothing",
}


@pytest.mark.parametrize("chosen", [SMALLEST, LARGEST], ids=lambda chosen: chosen.id)
def test_environment_of_a_developer(
    resources: Resources, template: Path, tmp_path: Path, chosen: Combination
) -> None:
    """Variables of the shell and of a file do not affect tests: their database would not answer."""
    project = render(template, tmp_path / "project", chosen.answers)
    database = str(chosen.answers[DATABASE])
    file = tmp_path / "developer.env"
    file.write_text("API_DOCS=false\n", encoding="utf-8")
    shell = {
        **resources.one_environment,
        **suite_environment(resources, database),
        "DATABASE_URL": NOWHERE[database],
        "LOG_LEVEL": "ERROR",
        "ENV_FILE": str(file),
    }

    done = subprocess.run(
        [
            str(resources.python),
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "keel/tests/test_isolation.py",
        ],
        cwd=project,
        env=shell,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
