"""The documentation's walk-throughs, followed literally, on a project that is one release behind."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.machinery.checkout import begin, checkout, commit, release
from tests.machinery.questions import DATABASE, PRESET
from tests.machinery.rendering import ROOT, git, render
from tests.machinery.shell import Shell, blocks, without_docker

if TYPE_CHECKING:
    from pathlib import Path

    from tests.machinery.resources import Resources

UPDATING = (ROOT / "docs" / "updating.md").read_text(encoding="utf-8")
#: Those that look at the migrations. That all of them pass is shown elsewhere, for more projects.
SOME_TESTS = {"PYTEST_ADDOPTS": "keel/tests/db/test_migrations.py"}
LATER = (ROOT / "docs" / "enabling-features.md").read_text(encoding="utf-8")
_TEXT = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: What the next release does: a setting has another name, and the notes say so.
_RENAMED = ("readiness_timeout", "readiness_deadline")
_NOTE = """
[[changes]]
version = "v1.1.0"
what = "Readiness checks have a deadline together, rather than one each."
do = "Raise it if you have many."
renamed = { READINESS_TIMEOUT = "READINESS_DEADLINE" }
"""


@pytest.fixture
def repository(resources: Resources, tmp_path: Path) -> Path:
    """The template, released."""
    return checkout(resources.template, tmp_path / "keel")


@pytest.fixture
def project(repository: Path, tmp_path: Path) -> Path:
    """A small project that was made with it, and committed with its lock file."""
    made = render(repository, tmp_path / "harbour-log", {PRESET: "minimal", DATABASE: "sqlite"})
    return begin(made)


@pytest.fixture
def shell(resources: Resources, tmp_path: Path) -> Shell:
    """A terminal beside both."""
    return Shell(tmp_path, tmp_path / "tools", {**resources.one_environment, **SOME_TESTS})


@pytest.mark.usefixtures("project")
def test_keep_your_project_up_to_date(repository: Path, shell: Shell) -> None:
    """Each command succeeds; changes are printed as on the page, and a renamed setting with its new name."""
    _release_with_a_renamed_setting(repository)
    told, named = (fence[1] for fence in _TEXT.finditer(UPDATING))

    printed = _walk(shell, UPDATING)

    assert told in printed["python3 -m uv run python -m app upgrades\n"]
    project = shell.directory
    assert git(project, "status", "--porcelain") == ""
    assert (
        yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))["_commit"] == "v1.1.0"
    )
    assert len(list((project / "migrations" / "versions").glob("*.py"))) == 1, "there was nothing to migrate"
    # What is committed has been looked at.
    assert shell.must("uv run python -m app upgrades") == "Nothing noticeable has changed since v1.1.0.\n"
    (project / ".env").write_text("READINESS_TIMEOUT=5.125\nLOG_LEVLE=INFO\n", encoding="utf-8")
    status, output = shell.run("uv run python -m app settings --check")
    assert (status, output) == (1, named)


def test_renamed_required_setting(repository: Path, project: Path, shell: Shell) -> None:
    """If a required setting was renamed, every command names its old name."""
    _rename(repository, "allowed_hosts", "served_hosts")
    _note(
        repository,
        _NOTE.replace("READINESS_TIMEOUT", "ALLOWED_HOSTS").replace("READINESS_DEADLINE", "SERVED_HOSTS"),
    )
    release(repository, "v1.1.0")
    shell.directory = project
    shell.must("copier update --defaults --quiet")
    (project / ".env").write_text("ENVIRONMENT=production\nALLOWED_HOSTS=s3cret.example\n", encoding="utf-8")

    for command in ("settings --check", "migrate"):
        status, output = shell.run(f"uv run python -m app {command}")

        assert status == 1
        assert "SERVED_HOSTS: set it when ENVIRONMENT=production\n" in output
        assert "  .env: ALLOWED_HOSTS is now called SERVED_HOSTS\n" in output
        assert "s3cret" not in output
        assert "Traceback" not in output


@pytest.mark.usefixtures("project")
def test_add_a_feature_later(shell: Shell) -> None:
    """On and off again: each command succeeds, the page is right, and the tree is as at first."""
    switched_off = "--data auth=false"

    printed = _walk(shell, LATER)

    assert any(switched_off in block for block in printed)
    (removal,) = (output for block, output in printed.items() if " feature-removal " in block)
    assert "files of Keel's would be deleted" in removal
    (dropped,) = (output for block, output in printed.items() if switched_off in block)
    assert re.search(r"auth_users +holds rows", dropped), dropped
    assert "drop=" in dropped
    project = shell.directory
    assert list((project / "app").glob("auth/**/*.py")) == []
    versions = sorted(path.name for path in (project / "migrations" / "versions").glob("*.py"))
    assert len(versions) == 2, "the tables that came have a migration, what went has none"
    changed = git(project, "diff", "--name-only", "HEAD~2").split()
    assert [name for name in changed if "migrations/versions" not in name and name != "uv.lock"] == []


def test_a_copy_of_uncommitted_changes(repository: Path, tmp_path: Path, shell: Shell) -> None:
    """The next update fails as the page says, and works after its fix."""
    (repository / "template" / "NEWS.md").write_text("# News\n", encoding="utf-8")
    said = shell.must("copier copy --quiet --defaults --vcs-ref=HEAD --data project_name=A keel project")
    assert "Dirty template changes included automatically" in said
    project = begin(tmp_path / "project")
    release(repository, "v1.1.0")
    shell.directory = project
    answers = project / ".copier-answers.yml"
    text = answers.read_text(encoding="utf-8").replace("_src_path: keel", f"_src_path: {repository}")
    answers.write_text(text, encoding="utf-8")
    commit(project, "An absolute path")

    status, output = shell.run("copier update --defaults --quiet")

    (recorded,) = re.findall(r"^_commit: (\S+)$", text, re.MULTILINE)
    assert status == 1
    assert output.endswith(f"ValueError: Unknown revision: '{recorded}'\n")
    assert "ValueError: Unknown revision: '" in UPDATING
    answers.write_text(text.replace(recorded, "v1.0.0"), encoding="utf-8")
    commit(project, "What the checkout stood on")
    shell.must("copier update --defaults --quiet")
    assert (project / "NEWS.md").is_file()
    shutil.rmtree(repository)
    commit(project, "Updated")
    status, output = shell.run("copier update --defaults --quiet")
    assert (status, "Local template must be a directory." in output) == (1, True)


def _walk(shell: Shell, page: str) -> dict[str, str]:
    """Type each block of a page; what each printed."""
    return {block: shell.must("\n".join(without_docker(block.splitlines()))) for block in blocks(page)}


def _release_with_a_renamed_setting(repository: Path) -> None:
    _rename(repository, *_RENAMED)
    _note(repository, _NOTE)
    release(repository, "v1.1.0")


def _rename(repository: Path, old: str, new: str) -> None:
    """Give a setting another name, wherever it stands."""
    for path in (repository / "template").rglob("*"):
        if path.suffix in {".py", ".jinja"}:
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(old, new).replace(old.upper(), new.upper()), encoding="utf-8")


def _note(repository: Path, text: str) -> None:
    notes = repository / "template/keel/upgrades.toml"
    notes.write_text(notes.read_text(encoding="utf-8") + text, encoding="utf-8")
