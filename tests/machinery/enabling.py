"""Switch a feature on in a project that has lived: what every test of the update promise shares."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from copier import run_update

from tests.machinery import owner
from tests.machinery.checkout import begin, commit
from tests.machinery.rendering import git, render
from tests.machinery.serving import Isolated

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CONFLICT = re.compile(r"^(<{7} |={7}$|>{7} )", re.MULTILINE)
#: Not compared with a fresh copy: made by tools, or the owner's after the first copy.
_NOT_COMPARED = re.compile(
    r"(\.git|\.venv|\.\w+_cache|__pycache__|migrations/versions|uv\.lock|\.env$|app\.db)"
)


def lived_in(repository: Path, destination: Path, answers: Mapping[str, Any], database_url: str) -> Isolated:
    """Copy a project, use it, change it as owners do, and commit. Its database holds rows."""
    project = begin(render(repository, destination, answers))
    isolated = Isolated(project, {"DATABASE_URL": database_url})
    owner.edit(isolated)
    isolated.must("sync", "--quiet")
    isolated.must("run", "python", "-m", "app", "migrate")
    isolated.must("run", "python", "-m", "app", "seed", "--count", "3")
    commit(project, "Everything that is ours")
    return isolated


def update(isolated: Isolated, answers: Mapping[str, Any], ref: str | None = None) -> None:
    """Run `copier update --data name=value`, as documented."""
    run_update(isolated.project, data=dict(answers), vcs_ref=ref, defaults=True, overwrite=True, quiet=True)


def conflicts(project: Path) -> list[str]:
    """Files with conflict markers, and rejected patches."""
    names = git(project, "ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0")
    paths = [project / name for name in names if name and (project / name).is_file()]
    found = [path for path in paths if path.suffix == ".rej" or _CONFLICT.search(_text(path))]
    return [path.relative_to(project).as_posix() for path in found]


def follow_up(isolated: Isolated) -> None:
    """What the message after an update says, then everything that the project's own pipeline runs."""
    isolated.must("sync", "--quiet")
    isolated.must("run", "alembic", "revision", "--autogenerate", "--message", "update")
    isolated.must("run", "python", "-m", "app", "migrate")
    isolated.must("run", "alembic", "check")
    isolated.must("run", "ruff", "check")
    isolated.must("run", "ruff", "format", "--check")
    isolated.must("run", "ty", "check")
    isolated.must("run", "lint-imports", "--no-cache")
    isolated.must("run", "pytest", "-q")


def differences(project: Path, fresh: Path) -> list[str]:
    """Files in which a project differs from a fresh copy with the same answers and the same edits."""
    one, other = _comparable(project), _comparable(fresh)
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def fresh_with_edits(repository: Path, destination: Path, answers: Mapping[str, Any]) -> Path:
    """A copy that had the feature from the beginning, with the owner's edits."""
    project = begin(render(repository, destination, answers))
    owner.edit(Isolated(project))
    return project


def _comparable(project: Path) -> dict[str, bytes]:
    paths = [path for path in project.rglob("*") if path.is_file()]
    contents = {path.relative_to(project).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in contents.items() if not _NOT_COMPARED.match(name)}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
