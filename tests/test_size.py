"""The size of the smallest project's platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.machinery.combinations import extremes
from tests.machinery.rendering import render

if TYPE_CHECKING:
    from pathlib import Path

    from tests.machinery.questions import Questions

#: What there is, and what it is to become. Lower the first when something goes.
SERVING, SERVING_GOAL = 5521, 2800
OPERATING, OPERATING_GOAL = 2203, 1600
MODULES, MODULES_GOAL = 62, 45


@pytest.fixture
def modules(questions: Questions, template: Path, tmp_path: Path) -> dict[str, int]:
    """The modules of the smallest project's `keel/`, tests aside, with their lines."""
    project = render(template, tmp_path / "project", extremes(questions)[0].answers)
    keel = project / "keel"
    paths = [
        path for path in keel.rglob("*.py") if not {"tests", "testing"} & set(path.relative_to(keel).parts)
    ]
    return {
        path.relative_to(keel).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in paths
    }


def test_the_smallest_project_is_small(modules: dict[str, int]) -> None:
    """Serving lines, operating lines, and modules (without `__init__.py`) stay below their limits."""
    operating = sum(lines for name, lines in modules.items() if name.startswith("ops/"))
    serving = sum(modules.values()) - operating
    count = sum(not name.endswith("__init__.py") for name in modules)
    largest = ", ".join(sorted(modules, key=modules.__getitem__, reverse=True)[:8])
    figures = (
        f"{serving} lines that serve (at most {SERVING}, goal {SERVING_GOAL}), "
        f"{operating} in ops/ (at most {OPERATING}, goal {OPERATING_GOAL}), "
        f"{count} modules (at most {MODULES}, goal {MODULES_GOAL}). The largest: {largest}"
    )
    print(figures)  # noqa: T201 - shown by `pytest -rP`, and where it fails
    assert serving <= SERVING, figures
    assert operating <= OPERATING, figures
    assert count <= MODULES, figures
