"""Recorded answers, compared with the project's files."""

from pathlib import Path

import pytest

from keel.ops.settings_check import changed_by_hand


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project on SQLite with one feature, the example and no manifests."""
    keel = tmp_path / "keel"
    for package in ("sqlite", "auth", "docs/features"):
        (keel / package).mkdir(parents=True)
    (keel / "auth" / "__init__.py").touch()
    (keel / "docs" / "features" / "notes.md").touch()
    answer(tmp_path)
    return tmp_path


def answer(project: Path, database: str = "sqlite", **changed: str) -> None:
    """Record the answers, like Copier."""
    answers = {
        "auth": "true",
        "redis": "false",
        "example": "true",
        "kubernetes": "false",
        "database": database,
        **changed,
    }
    lines = [f"{name}: {value}\n" for name, value in answers.items()]
    (project / ".copier-answers.yml").write_text(f"_commit: v1.0.0\n{''.join(lines)}", encoding="utf-8")


def test_unchanged_answers(project: Path) -> None:
    """Nothing is reported for true answers, nor if there are none, as in the image."""
    assert [*changed_by_hand(project)] == []
    assert [*changed_by_hand(project / "keel")] == []


def test_this_project() -> None:
    """This project's own answers are true."""
    assert [*changed_by_hand()] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("auth", "false"), ("redis", "true"), ("example", "false"), ("kubernetes", "true"), ("database", "postgresql")],
)
def test_answers_edited_by_hand(project: Path, name: str, value: str) -> None:
    """They are named, with the command that does what was meant."""
    answer(project, **{name: value})

    (said,) = changed_by_hand(project)

    assert f"it says {name}: {value}" in said
    assert f"`copier update --defaults --data {name}={value}`" in said
