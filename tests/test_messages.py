"""The messages after a copy and an update are exactly the next steps."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.machinery.checkout import checkout, release
from tests.machinery.combinations import combine
from tests.machinery.databases import empty_database
from tests.machinery.questions import DATABASE, Questions
from tests.machinery.rendering import NAMED, ROOT, git
from tests.machinery.serving import request
from tests.machinery.shell import Shell, lines, without_docker

if TYPE_CHECKING:
    from pathlib import Path

    from tests.machinery.combinations import Combination
    from tests.machinery.resources import Resources

QUESTIONS = Questions.load(ROOT / "copier.yml")
#: They differ in what a message says. That larger projects can be used as well is shown elsewhere.
PROJECTS = [combine(QUESTIONS, {DATABASE: database}) for database in QUESTIONS.databases.values]
#: That all of them pass is shown elsewhere, for more combinations.
START = 'git init --quiet && git add --all && git commit --quiet --message "Start from Keel"'
ONE_TEST = {"PYTEST_ADDOPTS": "keel/tests/test_settings.py"}


@pytest.fixture(scope="module")
def repository(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template, released."""
    return checkout(template, tmp_path_factory.mktemp("messages") / "keel")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A terminal."""
    return Shell(tmp_path, tmp_path / "tools")


def _copy(
    repository: Path,
    shell: Shell,
    answers: dict[str, object],
    place: str = "'my project'",
    copier: str = "copier",
) -> str:
    data = " ".join(f"--data {name}='{value}'" for name, value in {**NAMED, **answers}.items())
    return shell.must(f"{copier} copy --defaults {data} {repository} {place}")


@pytest.mark.parametrize("item", PROJECTS, ids=lambda item: item.id)
def test_messages_are_followed_literally(resources: Resources, tmp_path: Path, item: Combination) -> None:
    """Each command is run as printed, from the copy to the first response, and from an update to its commit."""
    repository = checkout(resources.template, tmp_path / "keel")
    database = str(item.answers[DATABASE])
    with empty_database(database, resources.server, tmp_path) as url:
        server = {"DATABASE_URL": url, "TEST_DATABASE_URL": resources.server or ""}
        given = {**ONE_TEST, **resources.one_environment, **(server if database == "postgresql" else {})}
        shell = Shell(tmp_path, tmp_path / "tools", given)
        copier = f"{sys.executable} -m copier"
        *commands, serve = lines(_copy(repository, shell, item.answers, copier=copier))
        for command in without_docker(commands):
            shell.must(command)
        assert shell.directory == tmp_path / "my project"
        with shell.served(serve) as address:
            assert request("GET", f"{address}/healthz")[0] == 200
        (repository / "template" / "NEWS.md").write_text("# News\n", encoding="utf-8")
        release(repository, "v1.1.0")

        message = shell.must(f"{copier} update --defaults")
        for command in without_docker(lines(message)):
            shell.must(command)

    project = shell.directory
    assert (project / "NEWS.md").is_file()
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "log", "--format=%s").split("\n")[:2] == ["Update from Keel", "Start from Keel"]


@pytest.mark.parametrize("database", QUESTIONS.databases.values)
def test_messages_are_commands(repository: Path, shell: Shell, tmp_path: Path, database: str) -> None:
    """Each line is a command. A service is started before it is needed, if the project has one."""
    message = _copy(repository, shell, {DATABASE: database}, "project")
    docker = [command for command in lines(message) if command.startswith("docker ")]
    services = yaml.safe_load((tmp_path / "project" / "compose.yaml").read_text(encoding="utf-8"))["services"]
    assert [command.split()[-1] for command in docker] == [name for name in services if name == database]
    commands, _, reading = message.partition("is ready. Next:")[2].strip("\n").partition("\n\n")
    assert len(lines(message)) == len(commands.splitlines())
    named = re.findall(r"[\w./-]+(?:\.md|/)(?=[\s,.])", reading)
    assert named
    assert [name for name in named if not (tmp_path / "project" / name).exists()] == []


def test_messages_fit_a_screen(repository: Path, shell: Shell) -> None:
    """Even the longest fits a terminal of 80 by 24, below the typed command."""
    answers: dict[str, object] = {DATABASE: "postgresql", "preset": "everything"}
    said = [_copy(repository, shell, answers, "harbour-log").partition("Harbour Log is ready")]
    shell.must(f"cd harbour-log\n{START}")
    text = shell.must("copier update --defaults --vcs-ref=:current:")
    said.append(text.partition("Harbour Log has been updated"))
    before = text.partition("Switching a feature off")[2].partition("\n\n")[0]
    for _, beginning, rest in said:
        shown = (beginning + rest).strip().splitlines()
        assert len(shown) + 2 <= 24
        assert [line for line in shown if len(line) > 80] == []
    assert before
    assert [line for line in before.splitlines() if len(line) > 80] == []


def test_a_copy_into_the_current_folder_needs_no_cd(repository: Path, shell: Shell) -> None:
    """The message has no `cd` to the current folder."""
    assert lines(_copy(repository, shell, {}, "."))[0] == "uv sync"
