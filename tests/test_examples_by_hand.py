"""An example that was deleted or reshaped by hand, before a feature is switched on that adds to it.

What the feature adds to the example is left out, the check of the settings says so, and all tests pass. Those of the
platform's rooms and of other features are run without the example in the combinations; here with `--no-reuse` only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.machinery import selection
from tests.machinery.enabling import conflicts, hurry, left_to_combinations, update
from tests.machinery.questions import DATABASE, PRESET, Questions
from tests.machinery.rendering import ROOT, git
from tests.machinery.update_cases import presets

if TYPE_CHECKING:
    from pathlib import Path

    from tests.machinery.update_sandbox import Lived, UpdateSandbox

QUESTIONS = Questions.load(ROOT / "copier.yml")
SMALLEST = next(iter(presets(QUESTIONS)))
NOTES = "app/examples/notes"
TESTS = "tests/examples/notes"
_IMPORTED = re.compile(r"^from app\.examples\.notes\.(\w+)", re.MULTILINE)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All features that add to an example, at once; with `--full`, each alone, too."""
    if "toggles" not in metafunc.fixturenames:
        return
    alone = [(toggle,) for toggle in TOGGLES] if selection.is_full(metafunc.config) else []
    chosen = [tuple(TOGGLES), *alone]
    metafunc.parametrize("toggles", chosen, ids=["+".join(toggles) for toggles in chosen])


def additions(toggle: str) -> list[str]:
    """What a feature adds to the examples, by its manifest."""
    return [
        pattern[1:].replace("/*/", "/notes/")
        for manifest in QUESTIONS.manifests
        if manifest.question == toggle
        for pattern in manifest.patterns
        if pattern.startswith("/app/examples/")
    ]


TOGGLES = [toggle for toggle in QUESTIONS.toggles if additions(toggle)]


def delete(project: Lived) -> None:
    """Delete the example and its tests."""
    git(project.path, "rm", "-r", "--quiet", NOTES, TESTS)


def reshape(project: Lived) -> None:
    """Give the module of its rules another name; its own tests are the owner's to change, and go."""
    git(project.path, "mv", f"{NOTES}/service.py", f"{NOTES}/rules.py")
    git(project.path, "rm", "-r", "--quiet", TESTS)
    for path in (project.path / NOTES).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        path.write_text(
            text.replace("app.examples.notes.service", "app.examples.notes.rules"), encoding="utf-8"
        )


def lacks(project: Path, name: str) -> bool:
    """Whether an addition imports a module of the example that is not there."""
    place = project / name
    files = [place] if place.is_file() else sorted(place.glob("*.py"))
    wanted = {module for path in files for module in _IMPORTED.findall(path.read_text(encoding="utf-8"))}
    return any(
        not (project / NOTES / f"{module}.py").is_file() and not (project / NOTES / module).is_dir()
        for module in wanted
    )


@pytest.mark.parametrize("change", [delete, reshape], ids=["deleted", "reshaped"])
def test_features_are_switched_on_late(
    sandbox: UpdateSandbox, tmp_path: Path, toggles: tuple[str, ...], change: object
) -> None:
    """No conflict; the project migrates, all tests pass, and skipped additions are reported."""
    assert callable(change)
    answers = {PRESET: SMALLEST, DATABASE: "sqlite"}
    with sandbox.project(tmp_path, answers) as project:
        change(project)
        project.commit("Our own notes")

        commands = update(project.isolated, dict.fromkeys(toggles, True))

        assert conflicts(project.path) == []
        hurry(project.isolated, commands)
        left_out = left_to_combinations(project.path, "examples") if sandbox.resources.reuse else ()
        project.isolated.must("run", "pytest", *left_out)
        checked = project.isolated.run("run", "python", "-m", "app", "settings", "--check")
        told = checked.stdout + checked.stderr
        added = [name for toggle in toggles for name in additions(toggle)]
        in_vain = [name for name in added if name.startswith(NOTES) and lacks(project.path, name)]
        for name in in_vain:
            module = name.removesuffix(".py").replace("/", ".")
            assert f"{module} is skipped: the example no longer has {NOTES.replace('/', '.')}." in told
        assert (checked.returncode == 1) == bool(in_vain), told
