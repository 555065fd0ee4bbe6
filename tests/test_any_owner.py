"""A feature can be switched on or off, whatever owners have done with their project."""

from __future__ import annotations

import contextlib
import io
import shutil
from itertools import count
from typing import TYPE_CHECKING

import pytest
from copier import run_update
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.machinery import selection
from tests.machinery.any_owner import Owner, fresh, owners
from tests.machinery.bytecode import share_bytecode
from tests.machinery.checkout import begin
from tests.machinery.enabling import conflicts
from tests.machinery.questions import PRESET, Questions
from tests.machinery.rendering import ROOT, git, render
from tests.machinery.shares import is_absent
from tests.machinery.text_checks import absent_patterns
from tests.test_questions import recorded

if TYPE_CHECKING:
    from pathlib import Path

    from tests.machinery.resources import Resources
    from tests.machinery.update_sandbox import UpdateSandbox
    from tests.machinery.warm import WarmProcess

QUESTIONS = Questions.load(ROOT / "copier.yml")
FEW, MANY = 2, 60
_numbers = count()


@pytest.fixture(scope="module")
def projects(sandbox: UpdateSandbox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A project of each of two presets, as it was copied."""
    place = tmp_path_factory.mktemp("copied")
    presets = ("api", "everything")
    return {name: begin(render(sandbox.repository, place / name, {PRESET: name})) for name in presets}


def test_any_owner(
    projects: dict[str, Path],
    resources: Resources,
    warm: WarmProcess,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """No conflict, no file of theirs changed or restored, and the application still builds."""
    full = selection.is_full(request.config)

    @settings(
        max_examples=MANY if full else FEW,
        # To make a failing owner smaller takes many updates.
        phases=[Phase.generate, *([Phase.shrink] if full else [])],
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        owner=owners,
        preset=st.sampled_from(sorted(projects)),
        toggle=st.sampled_from(QUESTIONS.toggles),
    )
    def survives(owner: Owner, preset: str, toggle: str) -> None:
        project = fresh(projects[preset], tmp_path / f"project-{next(_numbers)}")
        theirs = owner.settle(project)
        git(project, "add", "--all")
        git(project, "commit", "--quiet", "--allow-empty", "--message", "Everything that is ours")
        on = (project / "keel" / toggle).is_dir()
        with contextlib.redirect_stderr(io.StringIO()):
            run_update(project, data={toggle: not on}, defaults=True, overwrite=True)

        assert conflicts(project) == []
        # What a feature owns goes with it, lines of the owner's included: `feature-removal` names it.
        absent = absent_patterns(QUESTIONS, recorded(project))
        kept = {name: None if is_absent(name, absent) else content for name, content in theirs.items()}
        assert {name: _content(project / name) for name in theirs} == kept
        assert (project / "keel" / toggle).is_dir() is not on
        share_bytecode(project, resources.scratch / "bytecode")
        outcome = warm.run("app", "packages", directory=project, environment={"ENV_FILE": ""})
        assert outcome.status == 0, outcome.tail()
        assert all(f"app.{name}" in outcome.output for name in owner.packages)
        shutil.rmtree(project)

    survives()


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
