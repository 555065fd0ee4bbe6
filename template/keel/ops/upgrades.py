"""What later versions of the template changed, as the packages of this project note it in `upgrades.toml`."""

import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from keel.packages import WINGS

PROJECT = Path(__file__).parents[2]
ANSWERS = ".copier-answers.yml"
NEXT = "next"
"""The version of a change that is in no release yet: newer than any."""

_RELEASE = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_COMMIT = re.compile(r"^_commit: ['\"]?([^\s'\"]+)", re.MULTILINE)


class Change(BaseModel):
    """One change that an owner should know of after an update."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    """The first version that has it, such as `v1.2.0`, or `next`."""

    what: str
    """What is different now, in a sentence or two."""

    do: str = ""
    """What to do about it; nothing unless said."""

    renamed: Mapping[str, str] = {}
    """Variables that are called differently now: the old name, then the new one."""

    removed: tuple[str, ...] = ()
    """Variables that nothing reads any more."""


def changes(project: Path = PROJECT) -> list[tuple[str, Change]]:
    """Return the changes that the packages of a project note, each with its package, the latest version first."""
    notes = [path for wing in WINGS for path in sorted(project.glob(f"{wing}/**/upgrades.toml"))]
    found = [(path.parent.name, change) for path in notes for change in _read(path)]
    return sorted(found, key=lambda each: _order(each[1].version), reverse=True)


def changes_since(version: str | None, project: Path = PROJECT) -> list[tuple[str, Change]]:
    """Return the changes that came after a version: all of them, where it is unknown or no release."""
    return [each for each in changes(project) if version is None or _order(each[1].version) > _since(version)]


def last_version(project: Path = PROJECT) -> str | None:
    """Return the template's version at the last commit: the one before an update that is not committed yet."""
    command = ["git", "-C", str(project), "show", f"HEAD:./{ANSWERS}"]
    try:
        answers = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - git
    except (OSError, subprocess.CalledProcessError):  # no git here, such as in the image, or no commit yet
        return None
    found = _COMMIT.search(answers)
    return found[1] if found else None


def _read(path: Path) -> Iterator[Change]:
    for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("changes", []):
        yield Change.model_validate(entry)


def _order(version: str) -> tuple[float, ...]:
    """Sort versions; what is in no release yet is last."""
    found = _RELEASE.match(version)
    if not found and version != NEXT:
        raise ValueError(f"{version} is no version: write v1.2.3, or {NEXT}")
    return tuple(map(int, found.groups())) if found else (float("inf"),)


def _since(version: str) -> tuple[float, ...]:
    """Sort the version to compare with; before the first release it is the hash of a commit, older than any."""
    return _order(version) if _RELEASE.match(version) else ()
