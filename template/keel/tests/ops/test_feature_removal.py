"""What would be deleted with a feature, and what of the owner's would be deleted or break."""

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.main import create_app
from keel.ops import cli
from keel.ops.feature_removal import Removal, RemovalError, compare, removal

ANSWERS = ".copier-answers.yml"
CORE = {
    "app/__init__.py": b"",
    "keel/text.py": b"NO_NUL = 1\n",
    "pyproject.toml": b'dependencies = [\n    "typer>=1",\n]\n',
}
ADDED = {
    "app/radio/__init__.py": b"",
    "app/radio/models.py": b'class Radio:\n    __tablename__ = "radios"\n',
    "app/radio/service.py": b"import keel.text\n",
    "tests/radio/test_radio.py": b"import app.radio\n",
}
SEAMS = {
    "keel/services.py": (b"    jobs: Jobs\n    radio: Radio\n", b"    jobs: Jobs\n"),
    "keel/features.py": (b"from app import radio\n", b"\n"),
    "pyproject.toml": (b'dependencies = [\n    "typer>=1",\n    "PyYAML>=6",\n]\n', CORE["pyproject.toml"]),
}
WITHOUT = CORE | {name: texts[1] for name, texts in SEAMS.items()}
WITH_IT = CORE | ADDED | {name: texts[0] for name, texts in SEAMS.items()}


def write(place: Path, tree: dict[str, bytes]) -> None:
    """Write files."""
    for name, text in tree.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(text)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with the feature, as copied."""
    place = tmp_path / "project"
    write(place, {**WITH_IT, ANSWERS: b"_commit: v1.0.0\nci: github\nlamps: false\nradio: true\n"})
    # The least that is a repository: a program for each test would take longer than the tests.
    write(place / ".git", {"HEAD": b"ref: refs/heads/main\n", "objects/.keep": b"", "refs/.keep": b""})
    return place


def test_unedited_files_are_not_reported(project: Path) -> None:
    """Nothing of the owner's is affected; the tables are named anyway."""
    found = compare(project, WITH_IT, WITHOUT)

    assert found == Removal(tuple(sorted(ADDED)), (), (), (), (), ("radios",))
    assert not found.concerns_you
    first, last = found.lines()
    assert first == "4 files of Keel's would be deleted."
    assert "radios" in last


def test_the_owners_code_is_named(project: Path) -> None:
    """Edits that would be deleted, files left behind, and code that would fail are listed by location."""
    mine = {
        "app/radio/service.py": b"import keel.text\nMINE = 1\n",
        "app/radio/badges.py": b"from .models import Radio\n",
        "app/ships/router.py": b"import yaml\n\nfrom app.radio import service\nfrom keel import text\n",
        "app/ships/plugin.py": b"services_of(app).jobs.add()\nservices_of(app).radio.play()\nself.radio = 1\n",
        "app/ships/late.py": b"import app.radio.models as found\n",
        "tests/ships/test_ships.py": b"from tests.radio.test_radio import NAME\n",
        "notes/radio.md": b"Mine",
    }
    write(project, mine)

    found = compare(project, WITH_IT, WITHOUT)

    assert found.changed == ("app/radio/service.py",)
    assert found.beside == ("app/radio/badges.py",)
    assert found.imports == (
        "app/radio/badges.py:1: app.radio.models",
        "app/ships/late.py:1: app.radio.models",
        "app/ships/plugin.py:2: services.radio",
        "app/ships/router.py:3: app.radio.service",
        "tests/ships/test_ships.py:1: tests.radio.test_radio",
    )
    assert found.undeclared == ("app/ships/router.py:1: pyyaml",)
    assert found.concerns_you
    assert "    app/ships/router.py:1: pyyaml" in "\n".join(found.lines())


def test_files_that_the_owner_deleted_are_not_reported(project: Path) -> None:
    """Only existing files can be lost."""
    (project / "app" / "radio" / "service.py").unlink()

    assert "app/radio/service.py" not in compare(project, WITH_IT, WITHOUT).goes


@pytest.fixture
def copier(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace Copier with a program that writes the two copies; return its log."""
    tools = project.parent / "tools"
    for name, tree in (("with", WITH_IT), ("without", WITHOUT)):
        write(tools / name, tree)
    (tools / "copier").write_text(
        "#!/bin/sh\n"
        f"cd {shlex.quote(str(tools))}\n"
        'echo "$*" >> log\n'
        "tree=without\n"
        "case $* in *--data=radio=false*) ;; *--vcs-ref=:current:*) tree=with ;; esac\n"
        "for place do :; done\n"
        'cp -R "$tree/." "$place"\n',
        encoding="utf-8",
    )
    (tools / "copier").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    return tools / "log"


def test_copier_is_asked_for_this_version(project: Path, copier: Path) -> None:
    """Both copies are of the project's version, so only the feature differs."""
    assert removal(project, "radio").goes == tuple(sorted(ADDED))

    with_it, without = sorted(copier.read_text(encoding="utf-8").splitlines(), key=lambda line: "--data" in line)
    assert with_it.startswith("recopy --quiet --defaults --overwrite --vcs-ref=:current: /")
    assert without.startswith("recopy --quiet --defaults --overwrite --vcs-ref=:current: --data=radio=false /")


def test_files_removed_by_the_next_update(project: Path, copier: Path) -> None:
    """The latest version is compared with the project's, and its removed files are listed."""
    assert removal(project).goes == tuple(sorted(ADDED))

    latest, present = sorted(copier.read_text(encoding="utf-8").splitlines(), key=lambda line: "--vcs-ref" in line)
    assert "--vcs-ref=:current:" in present
    assert "--vcs-ref" not in latest


def test_exit_status(project: Path, copier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 if nothing of the owner's is affected, 1 if something is, 2 on errors."""
    monkeypatch.setattr(cli, "ROOT", project)
    runner, commands = CliRunner(), cli.build(create_app, "app")

    assert runner.invoke(commands, ["feature-removal", "radio"]).exit_code == 0
    write(project, {"app/radio/service.py": b"MINE = 1\n"})
    result = runner.invoke(commands, ["feature-removal", "radio"])
    assert (result.exit_code, "app/radio/service.py" in result.output) == (1, True)
    assert runner.invoke(commands, ["feature-removal", "lamps"]).exit_code == 2


def test_feature_that_is_off(project: Path) -> None:
    """The message lists the features that are on."""
    with pytest.raises(RemovalError, match=r"lamps is not switched on\. Switched on: radio\."):
        removal(project, "lamps")


def test_copier_errors_are_shown(project: Path, copier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a moved template, or neither Copier nor uv being installed."""
    (copier.parent / "copier").write_text("#!/bin/sh\necho gone >&2\nexit 1\n", encoding="utf-8")
    with pytest.raises(RemovalError, match="gone"):
        removal(project, "radio")
    monkeypatch.setenv("PATH", str(project))
    with pytest.raises(RemovalError, match="Install uv, which fetches Copier"):
        removal(project, "radio")


def test_the_project_must_be_a_repository(project: Path) -> None:
    """Without git, nothing could bring the deleted files back."""
    with pytest.raises(RemovalError, match="git repository"):
        compare(project.parent, WITH_IT, WITHOUT)
