"""Copying and updating like a user: from a git repository, without trust, by an absolute path."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml
from copier import run_update

from tests.machinery.checkout import begin, checkout, commit, release
from tests.machinery.questions import DATABASE, PRESET, Questions
from tests.machinery.rendering import NAMED, ROOT, git, render
from tests.test_questions import recorded, tree

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_copie.plugin import Copie


QUESTIONS = Questions.load(ROOT / "copier.yml")


@pytest.mark.parametrize("database", QUESTIONS.databases.values)
def test_copie_renders_a_project(copie: Copie, template: Path, questions: Questions, database: str) -> None:
    """The pytest plugin for templates sees the answers, and no error."""
    result = copie.copy(extra_answers={**NAMED, DATABASE: database}, template_dir=template)
    assert result.exception is None
    assert result.exit_code == 0
    assert result.project_dir is not None
    assert set(result.answers) == set(questions.asked)
    assert result.answers[DATABASE] == database
    assert (result.project_dir / "app" / "main.py").is_file()


def test_warm_copy_matches_the_program(template: Path, tmp_path: Path) -> None:
    """The tests' caching in Copier changes no byte, name or mode."""
    answers = {**NAMED, PRESET: "everything", "kubernetes": True}
    rendered = render(template, tmp_path / "rendered" / "project", answers)
    given = [word for name, value in answers.items() for word in ("--data", f"{name}={value}")]
    made = tmp_path / "made" / "project"
    command = [
        sys.executable,
        "-m",
        "copier",
        "copy",
        "--quiet",
        "--defaults",
        *given,
        str(template),
        str(made),
    ]
    subprocess.run(command, check=True)
    assert tree(rendered) == tree(made)
    assert modes(rendered) == modes(made)


def modes(project: Path) -> dict[str, int]:
    """Which files may be executed, and all else that a mode says."""
    return {path.relative_to(project).as_posix(): path.stat().st_mode for path in project.rglob("*")}


def test_copies_are_reproducible(template: Path, tmp_path: Path) -> None:
    """The same answers yield the same bytes: nothing depends on the clock, the network or git's configuration."""
    first = render(template, tmp_path / "first" / "project", {})
    second = render(template, tmp_path / "second" / "project", {})
    assert tree(first) == tree(second)


def test_an_update_works_after_a_copy_of_a_checkout(template: Path, tmp_path: Path) -> None:
    """A project copied from a checkout by its absolute path gets the next release."""
    repository = checkout(template, tmp_path / "keel")
    project = begin(render(repository, tmp_path / "project", {}))
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert (answers["_src_path"], answers["_commit"]) == (str(repository), "v1.0.0")
    (repository / "template" / "NEWS.md").write_text("# News\n", encoding="utf-8")
    release(repository, "v1.1.0")
    run_update(project, defaults=True, overwrite=True, quiet=True)
    changed = git(project, "status", "--porcelain", "--untracked-files=all").split("\n")
    assert [line for line in changed if line] == [" M .copier-answers.yml", "?? NEWS.md"]


def test_an_update_works_after_a_copy_of_a_checkout_without_releases(template: Path, tmp_path: Path) -> None:
    """Without a tag, or past the last one, an update follows the checkout's commits."""
    repository = checkout(template, tmp_path / "keel")
    git(repository, "tag", "--delete", "v1.0.0")
    project = begin(render(repository, tmp_path / "project", {}, ref="HEAD"))
    (repository / "template" / "NEWS.md").write_text("# News\n", encoding="utf-8")
    commit(repository, "News")
    run_update(project, defaults=True, overwrite=True, quiet=True, vcs_ref="HEAD")
    assert (project / "NEWS.md").read_text(encoding="utf-8") == "# News\n"


def test_an_update_leaves_the_owners_files(template: Path, tmp_path: Path) -> None:
    """The owner's files are neither changed nor restored."""
    repository = checkout(template, tmp_path / "keel")
    project = begin(render(repository, tmp_path / "project", {"kubernetes": True}))
    (project / "README.md").write_text("# Mine\n", encoding="utf-8")
    first = sorted((project / "migrations" / "versions").glob("*.py"))
    for path in first:
        path.unlink()
    (project / ".env").write_text("MINE=1\n", encoding="utf-8")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "Mine")
    for name in ("README.md", "README.md.jinja"):
        if (path := repository / "template" / name).exists():
            path.write_text("# Theirs\n", encoding="utf-8")
    release(repository, "v1.1.0")
    run_update(project, defaults=True, overwrite=True, quiet=True)
    assert (project / "README.md").read_text(encoding="utf-8") == "# Mine\n"
    assert (project / ".env").read_text(encoding="utf-8") == "MINE=1\n"
    assert [path for path in first if path.exists()] == []


def test_copying_needs_no_trust(template: Path, tmp_path: Path) -> None:
    """Copying from a git repository needs no `--trust`: no test passes `unsafe`."""
    repository = checkout(template, tmp_path / "keel")
    project = render(repository, tmp_path / "project", {})
    assert recorded(project)["project_name"] == NAMED["project_name"]
