"""When an update is impossible: a lost commit, `copier recopy`, answers edited by hand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from copier import run_recopy, run_update

from tests.machinery.checkout import begin, checkout, commit
from tests.machinery.rendering import git, render

if TYPE_CHECKING:
    from pathlib import Path

ANSWERS = ".copier-answers.yml"
YOURS = {
    "README.md": "# Ours\n",
    "app/main.py": '"""Ours."""\n',
    "tests/test_ours.py": '"""Ours."""\n',
    "migrations/versions/2026_ours.py": '"""All tables, in one."""\n',
}
KEELS = "keel/README.md"


@pytest.fixture(scope="module")
def released(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template, released."""
    return checkout(template, tmp_path_factory.mktemp("released") / "keel")


@pytest.fixture
def project(released: Path, tmp_path: Path) -> Path:
    """A project that is its owner's: the migrations are squashed, and a file of Keel's has been spoilt."""
    place = begin(render(released, tmp_path / "project", {"preset": "api"}))
    (place / "migrations/versions/0001_initial.py").unlink()
    for name, text in YOURS.items():
        (place / name).write_text(text, encoding="utf-8")
    (place / KEELS).write_text("spoilt", encoding="utf-8")
    commit(place, "Ours")
    return place


def yours(project: Path) -> dict[str, str]:
    """What the owner's files hold now."""
    return {name: (project / name).read_text(encoding="utf-8") for name in YOURS}


def test_recopy_keeps_the_owners_files(project: Path) -> None:
    """README, the owner's modules and squashed migrations stay; Keel's files are restored."""
    run_recopy(project, defaults=True, overwrite=True, quiet=True)
    assert yours(project) == YOURS
    assert not (project / "migrations/versions/0001_initial.py").exists()
    assert "public API" in (project / KEELS).read_text(encoding="utf-8")
    assert git(project, "status", "--short").split() == ["M", KEELS]


def test_a_first_copy_is_complete(released: Path, tmp_path: Path) -> None:
    """A copy into a folder with files is complete, because that is not a project yet."""
    place = tmp_path / "project"
    place.mkdir()
    (place / "LICENSE").write_text("Ours", encoding="utf-8")
    render(released, place, {"preset": "minimal"})
    for name in ("README.md", "app/main.py", "tests/__init__.py", "migrations/versions/0001_initial.py"):
        assert (place / name).is_file(), name


def test_an_update_from_a_lost_commit(project: Path) -> None:
    """It fails; with a release instead of the commit it works, and the owner's files stay."""
    record(project, "v1.0.0-1-gdeadbee")
    with pytest.raises(ValueError, match="Unknown revision"):
        run_update(project, defaults=True, overwrite=True, quiet=True)
    record(project, "v1.0.0")
    run_update(project, defaults=True, overwrite=True, quiet=True)
    assert yours(project) == YOURS


def record(project: Path, version: str) -> None:
    """Write another commit into the answers, and commit that."""
    file = project / ANSWERS
    text = re.sub(
        r"^_commit: .*$", f"_commit: {version}", file.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    file.write_text(text, encoding="utf-8")
    git(project, "commit", "--all", "--quiet", "--allow-empty", "--message", f"From {version}")


def test_an_answer_written_by_hand(project: Path) -> None:
    """It has no effect, which `settings --check` reports; on the command line it works."""
    file = project / ANSWERS
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("redis: false", "redis: true"), encoding="utf-8")
    commit(project, "By hand")
    run_update(project, defaults=True, overwrite=True, quiet=True)
    assert not (project / "keel/redis").exists()

    file.write_text(file.read_text(encoding="utf-8").replace("redis: true", "redis: false"), encoding="utf-8")
    commit(project, "As it was")
    run_update(project, data={"redis": True}, defaults=True, overwrite=True, quiet=True)
    assert (project / "keel/redis/__init__.py").is_file()
