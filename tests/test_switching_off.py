"""A feature is switched off again: what goes, what stays, and what its owner is told before anything is lost.

- Keel's files of the feature go, the owner's changes in them included. Copier says nothing of it, so the command
  `feature-removal` does; git keeps them.
- Files that the owner added stay, those beside the feature's too, and so do migrations, tables and rows.
- No migration drops a table unless it is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from copier.errors import UserMessageError

from tests.machinery import sample_rows, selection, update_cases
from tests.machinery.enabling import removal, update
from tests.machinery.questions import DATABASE, PRESET, Questions
from tests.machinery.rendering import ROOT, git

if TYPE_CHECKING:
    from pathlib import Path

    from tests.machinery.update_cases import Case
    from tests.machinery.update_sandbox import Lived, UpdateSandbox

QUESTIONS = Questions.load(ROOT / "copier.yml")
DATABASES = sorted(QUESTIONS.databases.values)
SMALLEST, *_, LARGEST = update_cases.presets(QUESTIONS)
OWN = '"""A file of the owner\'s, in a folder of Keel\'s."""\n'
LOOKOUT = '"""The owner\'s code relies on a feature."""\n\nimport {module}\n\nUSED = {module}\n'


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each toggle alone, on one of the databases; with `--full`, on both, and among all others, too."""
    if "case" in metafunc.fixturenames:
        full = [case for case in update_cases.cases(QUESTIONS) if case.preset in {SMALLEST, LARGEST}]
        chosen = full if selection.is_full(metafunc.config) else update_cases.alone(QUESTIONS)
        metafunc.parametrize("case", chosen, ids=[case.id for case in chosen])


def package_of(toggle: str) -> str:
    """The folder of the package that a toggle adds, by its manifest."""
    patterns = [
        pattern
        for manifest in QUESTIONS.manifests
        if manifest.question == toggle
        for pattern in manifest.patterns
    ]
    return next(pattern[1:] for pattern in patterns if (ROOT / f"template{pattern}/__init__.py").is_file())


def test_a_feature_is_switched_off(sandbox: UpdateSandbox, tmp_path: Path, case: Case) -> None:
    """The owner is warned; then no conflict, edits and rows stay, all tests pass, and no table is dropped."""
    without, (toggle,) = case.answers(on=False), case.toggles
    with sandbox.project(tmp_path, case.answers(on=True)) as project:
        leftovers = project.leftovers(without)
        held = sample_rows.fill(project.url, leftovers)
        changed, own, lookout = use(project, package_of(toggle))

        status, told = removal(project.isolated, toggle)

        assert status == 1
        said = {line.strip() for line in told.splitlines()}
        assert said >= {changed, own, f"{lookout}:3: {module_of(package_of(toggle))}", *leftovers}

        commands = project.update({toggle: False})

        assert not (project.path / changed).exists()
        assert "Mind the rocks" in git(project.path, "show", f"HEAD:{changed}")
        assert (project.path / own).read_text(encoding="utf-8") == OWN
        (project.path / own).unlink()  # what the command told them to see to
        (project.path / lookout).unlink()
        printed = project.holds(without, commands, leftovers)
        for table in leftovers:
            assert f"{table} holds rows" in " ".join(printed.split())
        assert sample_rows.count(project.url, leftovers) == held
        drop(project, leftovers)
        project.holds(without, [])


def module_of(package: str) -> str:
    """A folder as a module."""
    return package.replace("/", ".")


def use(project: Lived, package: str) -> tuple[str, str, str]:
    """Change a file of the feature, add one beside it, rely on it elsewhere, and commit."""
    changed, own, lookout = f"{package}/__init__.py", f"{package}/harbour.py", "app/lookout.py"
    text = (project.path / changed).read_text(encoding="utf-8")
    (project.path / changed).write_text(f"{text}\n# Mind the rocks\n", encoding="utf-8")
    (project.path / own).write_text(OWN, encoding="utf-8")
    (project.path / lookout).write_text(LOOKOUT.format(module=module_of(package)), encoding="utf-8")
    project.commit("We rely on it")
    return changed, own, lookout


def drop(project: Lived, leftovers: set[str]) -> None:
    """Drop the tables as the project says that they can be."""
    if not leftovers:
        return
    names = ",".join(sorted(leftovers))
    new = ("revision", "--autogenerate", "--message", "drop old tables")
    said = project.isolated.must("run", "alembic", "-x", f"drop={names}", *new)
    assert "DROPS" in said
    project.isolated.must("run", "python", "-m", "app", "migrate")
    assert not sample_rows.tables(project.url) & leftovers
    for table in leftovers:
        project.rows.pop(table, None)


def test_switched_off_and_on_again(sandbox: UpdateSandbox, tmp_path: Path) -> None:
    """Files left behind work again, with their rows. Uncommitted changes keep Copier from starting."""
    toggle = QUESTIONS.toggles[0]
    answers = {PRESET: SMALLEST, DATABASE: DATABASES[-1], toggle: True}
    with sandbox.project(tmp_path, answers) as project:
        assert removal(project.isolated, toggle)[0] == 0, "nothing of the owner's is concerned"
        leftovers = project.leftovers({**answers, toggle: False})
        held = sample_rows.fill(project.url, leftovers)
        main = project.path / "app/main.py"
        text = main.read_text(encoding="utf-8")
        main.write_text(f"{text}\n# Not committed\n", encoding="utf-8")
        with pytest.raises(UserMessageError, match="commit or stash"):
            update(project.isolated, {toggle: False})
        assert "# Not committed" in main.read_text(encoding="utf-8")
        main.write_text(text, encoding="utf-8")
        project.briefly(project.update({toggle: False}))
        project.briefly(project.update({toggle: True}))
        assert project.leftovers(answers) == set()
        assert sample_rows.count(project.url, leftovers) == held
        assert [path.name for path in (project.path / "migrations/versions").glob("*.py")] == [
            next(path.name for path in (project.path / "migrations/versions").glob("*squashed.py"))
        ]
