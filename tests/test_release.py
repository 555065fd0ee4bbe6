"""The release command: a dry run changes nothing, a release is one commit and a tag, and a failure leaves no trace."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.machinery import release
from tests.machinery.checkout import commit
from tests.machinery.rendering import ROOT, git

if TYPE_CHECKING:
    from pathlib import Path

CHANGELOG = "# Changes\n\n## Unreleased\n\n- Ships have flags.\n\n## 1.0.0 (2026-01-02)\n\n- Ships.\n"
NOTES = "# Upgrade notes\n\n## 1.1.0\n\nNothing.\n\n## 1.0.0\n\nNothing.\n"
UPGRADES = '# version = "next"\n\n[[changes]]\nversion = "next"\nwhat = "Flags are flown."\n'
PASSES = (sys.executable, "-c", "open('checked', 'w').write(open('CHANGELOG.md').read())")
FAILS = (sys.executable, "-c", "raise SystemExit(3)")
DATE = ("--date", "2026-12-01")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A template with one release and a change since."""
    root = tmp_path / "keel"
    files = {
        "CHANGELOG.md": CHANGELOG,
        "docs/upgrade-notes.md": NOTES,
        "template/keel/upgrades.toml": UPGRADES,
        ".gitignore": "checked\n",
    }
    for name, text in files.items():
        write(root, name, text)
    git(root, "init", "--quiet", "--initial-branch=main")
    commit(root, "Ships")
    git(root, "tag", "v1.0.0")
    commit_again(root)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Owner")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "owner@example.com")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    return root


def write(root: Path, name: str, text: str) -> None:
    """Write a file and its folders."""
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")


def commit_again(root: Path) -> None:
    """Commit one more change."""
    write(root, "template/flag.py", "")
    commit(root, "Flags")


def state(root: Path) -> tuple[str, str, str]:
    """What git knows of a repository."""
    return git(root, "rev-parse", "HEAD"), git(root, "tag"), git(root, "status", "--porcelain")


def test_dry_run_changes_nothing(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It shows the diff and every command, in order."""
    before = state(repository)
    assert release.main(["--dry-run", "--push", *DATE], repository, [PASSES]) == 0
    assert state(repository) == before
    assert not (repository / "checked").exists()
    said = capsys.readouterr().out
    assert "+## 1.1.0 (2026-12-01)\n" in said
    assert '-version = "next"\n+version = "v1.1.0"\n' in said
    shown = [said.index(words) for words in ("checked", "git commit", "git tag", "git push")]
    assert shown == sorted(shown)


def test_release_is_one_commit_and_a_tag(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The check sees the files as released; nothing is pushed unless requested."""
    assert release.main(DATE, repository, [PASSES]) == 0
    changelog = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    assert changelog.startswith(
        "# Changes\n\n## Unreleased\n\n## 1.1.0 (2026-12-01)\n\n- Ships have flags.\n"
    )
    assert (repository / "checked").read_text(encoding="utf-8") == changelog
    notes = (repository / "template/keel/upgrades.toml").read_text(encoding="utf-8")
    assert notes == UPGRADES.replace('\nversion = "next"', '\nversion = "v1.1.0"')
    assert git(repository, "log", "-1", "--format=%s") == "Release v1.1.0\n"
    assert git(repository, "describe", "--tags") == "v1.1.0\n"
    assert git(repository, "status", "--porcelain") == ""
    assert "git push --atomic origin HEAD v1.1.0" in capsys.readouterr().out


def test_push(repository: Path, tmp_path: Path) -> None:
    """The commit and the tag are pushed together."""
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    git(repository, "remote", "add", "origin", str(tmp_path / "origin.git"))
    assert release.main(["1.1.0", "--push"], repository, [PASSES]) == 0
    origin = tmp_path / "origin.git"
    assert (
        git(origin, "rev-parse", "main", "v1.1.0^{}").split()
        == [git(repository, "rev-parse", "HEAD").strip()] * 2
    )


def test_failed_check_leaves_no_trace(repository: Path) -> None:
    """No file, commit or tag remains."""
    before = state(repository)
    assert release.main([], repository, [PASSES, FAILS]) == 1
    assert state(repository) == before


@pytest.mark.parametrize(
    ("name", "text", "version", "said"),
    [
        ("template/new.py", "", "1.1.0", "working tree"),
        ("CHANGELOG.md", CHANGELOG.replace("- Ships have flags.\n", ""), "1.1.0", "says nothing"),
        ("CHANGELOG.md", CHANGELOG, "1.0.0", "does not come after"),
        ("CHANGELOG.md", CHANGELOG, "1.2.0", "has no section '## 1.2.0'"),
        ("template/keel/upgrades.toml", f'{UPGRADES}renamed = {{ A = "B" }}\n', "1.1.0", "major version"),
    ],
)
def test_refusals(
    repository: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, version: str, said: str
) -> None:
    """What is missing is named, in a dry run too; nothing is run."""
    write(repository, name, text)
    if said != "working tree" and git(repository, "status", "--porcelain"):
        commit(repository, "A change")
    before = state(repository)
    for options in ([version, "--dry-run"], [version]):
        assert release.main(options, repository, [PASSES]) == 1
        assert said in capsys.readouterr().out
    assert state(repository) == before
    assert not (repository / "checked").exists()


def test_other_branch_is_refused(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Releases are made from main."""
    git(repository, "switch", "--quiet", "--create", "flags")
    assert release.main([], repository, [PASSES]) == 1
    assert "not from flags" in capsys.readouterr().out


def test_next_version(repository: Path) -> None:
    """A minor version follows, or a major one after a renamed setting; the first is 1.0.0."""
    assert release.propose(repository, None) == (1, 0, 0)
    assert release.propose(repository, (1, 3, 2)) == (1, 4, 0)
    write(repository, "template/keel/upgrades.toml", f'{UPGRADES}removed = ["A"]\n')
    assert release.propose(repository, (1, 3, 2)) == (2, 0, 0)


def test_this_repository_can_be_released() -> None:
    """The changelog is ready for a version; before the first one, everything that a release needs exists."""
    planned = release.plan(ROOT, None, "2026-12-01")
    assert f"## {planned.name} (2026-12-01)" in planned.edits[ROOT / "CHANGELOG.md"]
    if planned.previous is None:
        of_the_checkout = ("The working tree", "Releases are made")
        assert [said for said in release.faults(planned) if not said.startswith(of_the_checkout)] == []
