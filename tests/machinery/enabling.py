"""Change an answer or the version in a project that has lived: what every test of the update promise shares."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
from typing import TYPE_CHECKING, Any

from copier import run_update

from tests.machinery import owner_edits, sample_rows
from tests.machinery.checkout import begin
from tests.machinery.rendering import git, render
from tests.machinery.shares import shared_files
from tests.machinery.shell import lines, without_docker
from tests.machinery.tools import tools

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from tests.machinery.serving import Isolated

    #: How to use a rendered project: with an environment of its own, or in a warm process.
    Use = Callable[[Path], Isolated]

_CONFLICT = re.compile(r"^(<{7} |={7}$|>{7} )", re.MULTILINE)
#: Not compared with a fresh copy: made by tools, or the owner's after the first copy.
_NOT_COMPARED = re.compile(
    r"(\.git/|\.venv|\.\w+_cache|(.*/)?__pycache__|migrations/versions|uv\.lock|\.env$|app\.db|\.hypothesis|\.coverage)"
)
#: What the project's own pipeline runs, whatever the message says. The first look at the migrations, too.
REVISIONS = (
    ("alembic", "check"),
    ("ruff", "check", "--no-cache"),
    ("ruff", "format", "--check", "--no-cache"),
)
_TYPES = ("ty", "check", "--no-progress", "--output-format", "concise")
_CONTRACTS = ("lint-imports", "--no-cache")
PIPELINE = (*REVISIONS, _TYPES, _CONTRACTS)
#: The same, without the types of the platform: they are checked in the combinations.
BRIEFER_PIPELINE = (*REVISIONS, (*_TYPES, "app", "migrations"), _CONTRACTS)
#: Commands of a project that only tell something.
_TELLING = {"upgrades", "settings"}
#: The tests that look at the migrations.
_TESTS_OF_REVISIONS = "keel/tests/db/test_migrations.py"


def lived_in(
    repository: Path,
    destination: Path,
    answers: Mapping[str, Any],
    use: Use,
    url: str,
    ref: str | None = None,
) -> Isolated:
    """Copy a project, change it as owners do, and use it: its database holds rows."""
    isolated = use(begin(render(repository, destination, answers, ref=ref)))
    owner_edits.edit(isolated)
    owner_edits.configure(isolated, url)
    owner_edits.migrate(isolated)
    return isolated


def update(isolated: Isolated, answers: Mapping[str, Any], ref: str | None = None) -> list[list[str]]:
    """Run `copier update --data name=value`, as documented. The commands that its message says come next."""
    with contextlib.redirect_stderr(io.StringIO()) as said:
        run_update(isolated.project, data=dict(answers), vcs_ref=ref, defaults=True, overwrite=True)
    commands = without_docker(lines(said.getvalue()))
    assert commands, f"Nothing is said to come next:\n{said.getvalue()}"
    return [shlex.split(command) for line in commands for command in line.split(" && ")]


def follow(
    isolated: Isolated,
    commands: list[list[str]],
    *,
    passed: bool = False,
    left_out: Collection[str] = (),
) -> str:
    """Do literally what a message says comes next, then what the project's own pipeline runs; what was printed.

    Where a project that is the same but for its migrations has `passed` all tests, those are run that look at these,
    and what only tells is left out; else all but what is `left_out`, as options of pytest: because the combinations
    have run it.
    """
    printed = []
    for program, *arguments in commands:
        if passed and _TELLING & {*arguments}:
            continue
        if program == "uv":
            less = (_TESTS_OF_REVISIONS,) if passed else left_out
            printed.append(isolated.must(*arguments, *(less if arguments == ["run", "pytest"] else ())))
        else:
            assert program == "git", f"The message says to run {program}"
            git(isolated.project, "--no-pager", *arguments)
    pipeline = REVISIONS if passed else BRIEFER_PIPELINE if left_out else PIPELINE
    printed += [isolated.must("run", *command) for command in pipeline]
    return "\n".join(printed)


def left_to_combinations(project: Path, *but: str) -> list[str]:
    """Options of pytest that leave out the test files that are shared out among the combinations.

    Of a project that is file by file what a fresh copy with the same edits is. What looks at the owner's packages and
    migrations is run, and what lies in a folder that is among `but`.
    """
    kept = {"keel/tests/test_packages.py", _TESTS_OF_REVISIONS}
    shared = [path for path in shared_files(project) if path not in kept and not {*but} & {*path.split("/")}]
    return [f"--ignore={path}" for path in shared]


def hurry(isolated: Isolated, commands: list[list[str]]) -> None:
    """Do of what a message says what changes anything, and leave out what only tells."""
    for program, *arguments in commands:
        if program == "git" and arguments[0] != "diff":
            git(isolated.project, *arguments)
        elif {"sync", "migrate", "revision"} & set(arguments):
            isolated.must(*arguments)


def removal(isolated: Isolated, *feature: str) -> tuple[int, str]:
    """What the project's command says would go, and its status; it finds the Copier that is installed here."""
    programs = tools(isolated.project.with_name("tools"))
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    result = isolated.run("run", "python", "-m", "app", "feature-removal", *feature, PATH=path)
    return result.returncode, result.stdout + result.stderr


def conflicts(project: Path) -> list[str]:
    """Files with conflict markers, and rejected patches."""
    names = git(project, "ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0")
    paths = [project / name for name in names if name and (project / name).is_file()]
    found = [path for path in paths if path.suffix in {".rej", ".orig"} or _CONFLICT.search(_text(path))]
    return [path.relative_to(project).as_posix() for path in found]


def differences(project: Path, fresh: Path) -> list[str]:
    """Files in which a project differs from a fresh copy with the same answers and the same edits."""
    one, other = _comparable(project), _comparable(fresh)
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def rows(url: str) -> dict[str, int]:
    """How many rows each table has that the owner filled, of those that there are."""
    return sample_rows.count(url, [table for table in owner_edits.TABLES if table in sample_rows.tables(url)])


def _comparable(project: Path) -> dict[str, bytes]:
    paths = [path for path in project.rglob("*") if path.is_file()]
    contents = {path.relative_to(project).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in contents.items() if not _NOT_COMPARED.match(name)}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
