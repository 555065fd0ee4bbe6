"""Jinja stays in the seams: every other file in template/ is plain, and a toggle only adds files."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING

import pytest

from tests.machinery.combinations import combine
from tests.machinery.questions import DATABASE, Questions
from tests.machinery.rendering import ROOT, render
from tests.machinery.reuse import digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _pytest.mark import ParameterSet

    from tests.machinery.combinations import Combination

#: Where an `if` on an answer may stand: what Keel owns, what both edit, and what is the owner's after the first copy.
SEAMS = (
    "keel/features.py",
    "keel/identity.py",
    "keel/services.py",
    "keel/testing/identity.py",
    ".env.example",
    "deploy/k8s/*",
    "deploy/grafana/*",
    ".github/workflows/keel-*.yml",
    ".gitlab-ci.yml",
    "keel/docs/*.md",
    "pyproject.toml",
    "compose.dev.yaml",
    "compose.yaml",
    "Dockerfile",
    "README.md",
    "migrations/versions/*",
    ".copier-answers.yml",
)
_IF = re.compile(r"\{%-?\s*(?:el)?if\b(.*?)%\}")


def sources(template: Path) -> Iterator[tuple[str, str]]:
    """Every text of the template with the path that it is rendered to."""
    for path in sorted((template / "template").rglob("*")):
        if path.is_file():
            name = path.relative_to(template / "template").as_posix()
            yield name, path.read_text(encoding="utf-8", errors="replace")


def test_conditions_stand_in_seams(questions: Questions, template: Path) -> None:
    """No `if` on an answer elsewhere, above all not in a feature's code or tests."""
    outside = []
    for name, text in sources(template):
        conditions = [
            found for found in _IF.findall(text) if set(re.findall(r"\w+", found)) & set(questions.asked)
        ]
        destination = name.removesuffix(".jinja")
        if (
            conditions
            and name.endswith(".jinja")
            and not any(fnmatch.fnmatch(destination, seam) for seam in SEAMS)
        ):
            outside.append(f"{name}: {len(conditions)}")
    assert outside == []


def test_only_templates_hold_jinja(template: Path) -> None:
    """A file without the suffix is copied as it is, so Jinja in it would reach the owner."""
    holding = [name for name, text in sources(template) if not name.endswith(".jinja") and "{%" in text]
    assert holding == []


def test_paths_are_plain(template: Path) -> None:
    """Paths have no conditions: only `_exclude` decides. The name of the answers file is Copier's."""
    odd = [name for name, _ in sources(template) if "{" in name and "_copier_conf.answers_file" not in name]
    assert odd == []
    assert [name for name, _ in sources(template) if "{%" in name] == []


def _pairs() -> list[ParameterSet]:
    questions = Questions.load(ROOT / "copier.yml")
    pairs = []
    for toggle in questions.switchable:
        for database in questions.databases.values:
            for base in ({}, dict.fromkeys(questions.toggles, True)):
                answers = {**base, DATABASE: database}
                off = combine(questions, {**answers, toggle: False})
                on = combine(questions, {**answers, toggle: True})
                pairs.append(pytest.param(off, on, id=f"{off.id} to {on.id}"))
    none = pytest.param(
        None, None, marks=pytest.mark.skip(reason="the template has no toggle yet"), id="none"
    )
    return pairs or [none]


@pytest.mark.parametrize(("off", "on"), _pairs())
def test_a_toggle_only_adds(template: Path, tmp_path: Path, off: Combination, on: Combination) -> None:
    """A project with a feature has all files of one without it, and only the seams differ."""
    without = render(template, tmp_path / "off", off.answers)
    with_it = render(template, tmp_path / "on", on.answers)
    changed = []
    for path in sorted(path for path in without.rglob("*") if path.is_file()):
        name = path.relative_to(without)
        assert (with_it / name).is_file(), f"{name} is missing with the feature"
        if path.read_bytes() != (with_it / name).read_bytes():
            changed.append(name.as_posix())
    assert [name for name in changed if not any(fnmatch.fnmatch(name, seam) for seam in SEAMS)] == []


def test_further_questions_touch_no_python(questions: Questions, template: Path, tmp_path: Path) -> None:
    """Continuous integration and the like change no file that Python code or a test reads."""
    digests = {}
    for axis in questions.extras:
        if axis.name in questions.parts:
            continue
        for value in axis.values:
            project = render(template, tmp_path / f"{axis.name}-{value}", {axis.name: value})
            digests[project.name] = digest(project)
    assert len(set(digests.values())) == 1, digests
