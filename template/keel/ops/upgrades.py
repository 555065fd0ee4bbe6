"""Noticeable changes in later versions of the template, from `upgrades.toml` of this project's packages."""

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
"""The version of an unreleased change: newer than any release."""

_RELEASE = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_COMMIT = re.compile(r"^_commit: ['\"]?([^\s'\"]+)", re.MULTILINE)


class Change(BaseModel):
    """A change that an owner should know about after an update."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    """The first version that has it, such as `v1.2.0`, or `next`."""

    what: str
    """What is different now, in a sentence or two."""

    do: str = ""
    """What to do about it; empty if nothing."""

    renamed: Mapping[str, str] = {}
    """Renamed variables: old name to new name."""

    removed: tuple[str, ...] = ()
    """Variables that are no longer read."""


def changes(project: Path = PROJECT) -> list[tuple[str, Change]]:
    """Return the changes noted by a project's packages, each with its package, latest version first."""
    notes = [path for wing in WINGS for path in sorted(project.glob(f"{wing}/**/upgrades.toml"))]
    found = [(path.parent.name, change) for path in notes for change in _read(path)]
    return sorted(found, key=lambda each: _order(each[1].version), reverse=True)


def changes_since(version: str | None, project: Path = PROJECT) -> list[tuple[str, Change]]:
    """Return the changes after a version: all of them if it is None or not a release."""
    return [each for each in changes(project) if version is None or _order(each[1].version) > _since(version)]


def last_version(project: Path = PROJECT) -> str | None:
    """Return the template's version at the last commit, before an uncommitted update."""
    command = ["git", "-C", str(project), "show", f"HEAD:./{ANSWERS}"]
    try:
        answers = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - git
    except (OSError, subprocess.CalledProcessError):  # no git, for example in the image, or no commit yet
        return None
    found = _COMMIT.search(answers)
    return found[1] if found else None


def _read(path: Path) -> Iterator[Change]:
    for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("changes", []):
        yield Change.model_validate(entry)


def _order(version: str) -> tuple[float, ...]:
    """Return the sort key of a version; unreleased ones are last."""
    found = _RELEASE.match(version)
    if not found and version != NEXT:
        raise ValueError(f"{version} is not a version: write v1.2.3, or {NEXT}")
    return tuple(map(int, found.groups())) if found else (float("inf"),)


def _since(version: str) -> tuple[float, ...]:
    """Return the sort key of the version to compare with; a commit's hash, before the first release, is the oldest."""
    return _order(version) if _RELEASE.match(version) else ()
