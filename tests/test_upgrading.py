"""Upgrades from one release to the next, or across several, in projects that owners have changed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.machinery import releases, selection, update_cases
from tests.machinery.beacon import NAME
from tests.machinery.checkout import begin, commit
from tests.machinery.enabling import conflicts, removal, update
from tests.machinery.questions import DATABASE, PRESET, Questions
from tests.machinery.rendering import ROOT, git, render
from tests.machinery.update_sandbox import UpdateSandbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.machinery.resources import Resources
    from tests.machinery.update_sandbox import Lived
    from tests.machinery.warm import WarmProcess

QUESTIONS = Questions.load(ROOT / "copier.yml")
DATABASES = QUESTIONS.databases.values
SMALLEST = next(iter(update_cases.presets(QUESTIONS)))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The last release with one database; with `--full`, every release with each."""
    full = selection.is_full(metafunc.config)
    if "tag" in metafunc.fixturenames:
        metafunc.parametrize("tag", releases.real_tags()[0 if full else -1 :])
    if "database" in metafunc.fixturenames:
        metafunc.parametrize("database", DATABASES if full else DATABASES[:1])


@pytest.fixture(scope="module")
def history(
    template: Path, resources: Resources, warm: WarmProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[UpdateSandbox]:
    """The template with made-up releases."""
    place = tmp_path_factory.mktemp("history")
    with UpdateSandbox(releases.history(template, place / "keel"), resources, warm, place) as sandbox:
        yield sandbox


def obey(project: Lived) -> None:
    """Rename the settings in `.env` that the project's own check asks to rename."""
    check = project.isolated.run("run", "python", "-m", "app", "settings", "--check")
    dotenv = project.path / ".env"
    for old, new in re.findall(r"(\w+) is now called (\w+)", check.stdout):
        text = dotenv.read_text(encoding="utf-8")
        dotenv.write_text(text.replace(f"{old}=", f"{new}="), encoding="utf-8")


def check(project: Lived, answers: Mapping[str, object], commands: list[list[str]]) -> None:
    """Everything of the last release is there and works, and so is everything of the owner's."""
    assert f"{releases.RENAMED[0]}=3.5" in (project.path / ".env").read_text(encoding="utf-8")
    obey(project)
    assert f"{releases.RENAMED[1]}=3.5" in (project.path / ".env").read_text(encoding="utf-8")
    project.holds({**answers, NAME: True}, commands)
    assert not (project.path / "keel/web/conditional.py").exists()
    recorded = (project.path / ".copier-answers.yml").read_text(encoding="utf-8")
    assert f"{NAME}: true" in recorded
    assert f"_commit: {releases.TAGS[-1]}" in recorded


def test_several_releases_at_once(history: UpdateSandbox, tmp_path: Path, database: str) -> None:
    """No conflict; a part that became a toggle stays on; the tree equals a fresh copy plus the edits."""
    answers = {DATABASE: database}
    with history.project(tmp_path, answers, releases.TAGS[0]) as project:
        beacon = project.path / "keel" / NAME / "service.py"
        assert beacon.is_file()
        commands = project.update({})
        assert beacon.is_file()
        check(project, answers, commands)


def test_one_release_after_another(history: UpdateSandbox, tmp_path: Path) -> None:
    """Updating release by release yields the same result."""
    answers = {PRESET: SMALLEST, DATABASE: DATABASES[-1]}
    with history.project(tmp_path, answers, releases.TAGS[0]) as project:
        for tag in releases.TAGS[1:-1]:
            project.update({}, tag)
            project.commit(f"Update to {tag}")
        commands = project.update({})
        check(project, answers, commands)


def test_changes_in_a_file_that_is_renamed(history: UpdateSandbox, tmp_path: Path) -> None:
    """Copier's one gap: it knows no renames, so such changes go without a conflict. The owner is told before.

    The changes of owners are a patch on the old copy; for a path that the new one lacks, there is nothing to patch and
    nothing is rejected. CONTRIBUTING therefore allows renames with a major version alone.
    """
    project = begin(render(history.repository, tmp_path / "project", {}, ref=releases.TAGS[0]))
    renamed = project / "keel/web/conditional.py"
    renamed.write_text(f"{renamed.read_text(encoding='utf-8')}\n\nMINE = 1\n", encoding="utf-8")
    commit(project, "Ours")
    owners = history.use(project)

    status, told = removal(owners)

    assert status == 1
    assert "keel/web/conditional.py" in told
    update(owners, {})
    assert conflicts(project) == []
    assert not renamed.exists()
    assert "MINE = 1" in git(project, "show", "HEAD:keel/web/conditional.py")


@pytest.mark.parametrize("earlier", releases.real_tags())
def test_no_file_of_this_major_version_is_gone(earlier: str) -> None:
    """None was deleted or renamed, because owners may have changed it."""
    if earlier.partition(".")[0] != releases.real_tags()[-1].partition(".")[0]:
        pytest.skip("an earlier major version")
    then = git(ROOT, "ls-tree", "-r", "--name-only", earlier, "template").split()
    gone = [name for name in then if not (ROOT / name).exists() and not (ROOT / f"{name}.jinja").exists()]
    assert gone == []


def test_a_release_and_a_feature_at_once(history: UpdateSandbox, tmp_path: Path) -> None:
    """`copier update --data` changes an answer and updates the template, without a conflict."""
    answers = {DATABASE: DATABASES[0]}
    with history.project(tmp_path, answers, releases.TAGS[0]) as project:
        commands = project.update({NAME: False})
        assert not (project.path / "keel" / NAME / "service.py").exists()
        obey(project)
        project.briefly(commands)
        assert project.leftovers({**answers, NAME: False}) == {f"{NAME}s"}


def test_from_a_real_release(
    resources: Resources,
    warm: WarmProcess,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    tag: str,
    database: str,
) -> None:
    """From the latest real release to the working tree, as if that were the next one."""
    place = tmp_path_factory.mktemp("real")
    answers = {DATABASE: database}
    with (
        UpdateSandbox(releases.real_history(place / "keel"), resources, warm, place) as sandbox,
        sandbox.project(tmp_path, answers, tag) as project,
    ):
        commands = project.update({})
        obey(project)
        project.holds(answers, commands)
