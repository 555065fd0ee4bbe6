"""Changes by updates: noted by packages, shown since a version."""

import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError

from keel.ops import upgrades

NOTES = """
[[changes]]
version = "v1.2.0"
what = "Colder."

[[changes]]
version = "v1.10.0"
what = "Wetter."
do = "Bring a coat."
renamed = { SUN = "RAIN" }
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two packages with notes and one without."""
    notes = {"keel/ops": NOTES, "app/harbour/ships": NOTES.replace("v1.2.0", "next"), "app/notes": None}
    for package, text in notes.items():
        (tmp_path / package).mkdir(parents=True)
        if text:
            (tmp_path / package / "upgrades.toml").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (None, ["next", "v1.10.0", "v1.10.0", "v1.2.0"]),
        ("7d2f1c9", ["next", "v1.10.0", "v1.10.0", "v1.2.0"]),
        ("v1.1.9", ["next", "v1.10.0", "v1.10.0", "v1.2.0"]),
        ("1.2.0", ["next", "v1.10.0", "v1.10.0"]),
        ("v1.10.0-3-g7d2f1c9", ["next"]),
    ],
)
def test_since(project: Path, version: str | None, expected: list[str]) -> None:
    """Versions are compared as numbers; unreleased changes are newest, and a commit before any release is oldest."""
    assert [change.version for _, change in upgrades.changes_since(version, project)] == expected


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('[[changes]]\nversion = "v1.2.0"\n', ValidationError),
        ('[[changes]]\nversion = "v1.2.0"\nwhat = "A."\nrename = {}\n', ValidationError),
        ('[[changes]]\nversion = "soon"\nwhat = "A."\n', ValueError),
    ],
)
def test_invalid_notes(project: Path, text: str, error: type[Exception]) -> None:
    """A note with a typo is an error, rather than silently ignored."""
    (project / "app/notes" / "upgrades.toml").write_text(text, encoding="utf-8")

    with pytest.raises(error):
        upgrades.changes(project)


def test_this_projects_notes() -> None:
    """The notes of this project's packages are valid."""
    assert upgrades.changes() == upgrades.changes_since(None)


def test_last_version(tmp_path: Path) -> None:
    """It is the last commit's version, because an uncommitted update has not been reviewed."""
    assert upgrades.last_version(tmp_path) is None
    answers = tmp_path / upgrades.ANSWERS
    _git(tmp_path, "init", "--quiet")
    answers.write_text("_commit: v1.2.0\nauth: true\n", encoding="utf-8")
    _git(tmp_path, "add", "--all")
    _git(tmp_path, "commit", "--quiet", "--message", "A")
    answers.write_text("_commit: v1.10.0\nauth: true\n", encoding="utf-8")

    assert upgrades.last_version(tmp_path) == "v1.2.0"

    answers.write_text("auth: true\n", encoding="utf-8")
    _git(tmp_path, "commit", "--quiet", "--all", "--message", "B")
    assert upgrades.last_version(tmp_path) is None


def _git(folder: Path, *arguments: str) -> None:
    author = ["-c", "user.name=A", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *author, *arguments], check=True)  # noqa: S603, S607 - ours
