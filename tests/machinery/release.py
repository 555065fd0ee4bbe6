"""Releases: `uv run python -m tests.machinery.release --dry-run` shows everything that it would do, without changes.

It writes the version to the changelog and upgrade notes, runs every test, commits and tags. Nothing is pushed
without `--push`.
"""

from __future__ import annotations

import argparse
import difflib
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
CHECKS = (("uv", "run", "pytest", "--full"), ("uv", "run", "pytest", "--no-reuse"))
PIN = ("sh", "template/deploy/pin-images.sh")
FIRST = (1, 0, 0)
UNRELEASED = "## Unreleased\n"
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_NEXT = re.compile(r'^version = "next"$', re.MULTILINE)

Version = tuple[int, int, int]


@dataclass
class Release:
    """A version to release, and its repository."""

    root: Path
    version: Version
    date: str
    previous: Version | None
    checks: Sequence[Sequence[str]] = CHECKS
    edits: dict[Path, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The version without a prefix."""
        return ".".join(map(str, self.version))

    @property
    def tag(self) -> str:
        """The name of the git tag."""
        return f"v{self.name}"

    def commands(self, *, push: bool) -> list[list[str]]:
        """Return the commands to run once the files are written."""
        made = [
            ["git", "commit", "--quiet", "--all", "--message", f"Release {self.tag}"],
            ["git", "tag", "--annotate", "--message", f"Keel {self.name}", self.tag],
        ]
        return [*made, *([self.pushing] if push else [])]

    @property
    def pushing(self) -> list[str]:
        """The command that publishes a release."""
        return ["git", "push", "--atomic", "origin", "HEAD", self.tag]


def version_of(text: str) -> Version:
    """Return the parts of a version; raise ValueError if it is not valid."""
    found = _VERSION.fullmatch(text)
    if not found:
        raise ValueError(f"{text} is not a version such as 1.2.0")
    major, minor, patch = map(int, found.groups())
    return major, minor, patch


def git(root: Path, *arguments: str) -> str:
    """Run git as the maintainer."""
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def released(root: Path) -> list[Version]:
    """Return the tagged versions, oldest first."""
    return sorted(version_of(tag) for tag in git(root, "tag").split() if _VERSION.fullmatch(tag))


def notes(root: Path) -> list[Path]:
    """Return the files with upgrade notes that a project reads."""
    return sorted((root / "template").glob("**/upgrades.toml"))


def asks_something(root: Path) -> bool:
    """Whether a setting was renamed or removed since the last release, which requires a major version."""
    changes: list[dict[str, Any]] = [
        change
        for path in notes(root)
        for change in tomllib.loads(path.read_text(encoding="utf-8")).get("changes", [])
    ]
    return any(change["version"] == "next" and {"renamed", "removed"} & change.keys() for change in changes)


def propose(root: Path, previous: Version | None) -> Version:
    """Return the first or next version: a major one if owners have to do something, else a minor one."""
    if previous is None:
        return FIRST
    major, minor, _ = previous
    return (major + 1, 0, 0) if asks_something(root) else (major, minor + 1, 0)


def plan(root: Path, version: Version | None, date: str, checks: Sequence[Sequence[str]] = CHECKS) -> Release:
    """Prepare a release and the new contents of its files."""
    previous = max(released(root), default=None)
    release = Release(root, version or propose(root, previous), date, previous, checks)
    changelog = root / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8")
    release.edits[changelog] = text.replace(UNRELEASED, f"{UNRELEASED}\n## {release.name} ({date})\n", 1)
    for path in notes(root):
        text = path.read_text(encoding="utf-8")
        if _NEXT.search(text):
            release.edits[path] = _NEXT.sub(f'version = "{release.tag}"', text)
    return release


def faults(release: Release) -> list[str]:
    """Return a sentence for each obstacle to a release."""
    root = release.root
    found: list[str] = []
    if git(root, "status", "--porcelain").strip():
        found.append("The working tree has changes: commit or stash them.")
    if (branch := git(root, "branch", "--show-current").strip()) != "main":
        found.append(f"Release from main, not from {branch or 'a detached commit'}.")
    if release.previous and release.version <= release.previous:
        found.append(f"{release.name} does not come after {'.'.join(map(str, release.previous))}.")
    if release.previous and release.version[0] == release.previous[0] and asks_something(root):
        found.append("A setting was renamed or removed: release a major version.")
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    unreleased = text.partition(UNRELEASED)[2].partition("\n## ")[0]
    if not unreleased.strip():
        found.append(f"CHANGELOG.md says nothing under {UNRELEASED.strip()!r}.")
    upgrade = (root / "docs" / "upgrade-notes.md").read_text(encoding="utf-8")
    if f"\n## {release.name}\n" not in upgrade:
        found.append(
            f"docs/upgrade-notes.md has no section '## {release.name}', if only to say that there is nothing to do."
        )
    return found


def difference(release: Release) -> str:
    """Return the changes as a diff."""
    shown: list[str] = []
    for path, text in release.edits.items():
        name = path.relative_to(release.root).as_posix()
        old = path.read_text(encoding="utf-8").splitlines(keepends=True)
        shown += difflib.unified_diff(old, text.splitlines(keepends=True), f"a/{name}", f"b/{name}", n=2)
    return "".join(shown)


def make(release: Release, before: Sequence[Sequence[str]], *, push: bool) -> int:
    """Write, check, commit and tag. If anything fails before the commit, restore the files."""
    try:
        for path, text in release.edits.items():
            path.write_text(text, encoding="utf-8")
        for command in before:
            print("$", *command, flush=True)
            subprocess.run(command, cwd=release.root, check=True)
    except BaseException as error:
        git(release.root, "checkout", "--quiet", "--", ".")
        if not isinstance(error, subprocess.CalledProcessError):
            raise
        print(f"Failed with status {error.returncode}; nothing is released, and no file has changed.")
        return 1
    for command in release.commands(push=push):
        print("$", *command, flush=True)
        subprocess.run(command, cwd=release.root, check=True)
    if not push:
        print(f"{release.tag} is tagged here. To publish it: {' '.join(release.pushing)}")
    return 0


def main(
    arguments: Sequence[str] | None = None, root: Path = ROOT, checks: Sequence[Sequence[str]] = CHECKS
) -> int:
    """Return the exit status of the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.machinery.release", description=__doc__)
    parser.add_argument("version", nargs="?", type=version_of, help="such as 1.2.0; by default the next one")
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, without changes")
    parser.add_argument("--date", default=f"{datetime.now(UTC):%Y-%m-%d}", help="by default today (UTC)")
    parser.add_argument("--pin-images", action="store_true", help="pin images to their digests; needs Docker")
    parser.add_argument("--push", action="store_true", help="push the commit and the tag at the end")
    options = parser.parse_args(arguments)
    release = plan(root, options.version, options.date, checks)
    found = faults(release)
    for sentence in found:
        print(sentence)
    before = [*([PIN] if options.pin_images else []), *release.checks]
    if options.dry_run:
        print(f"{release.tag} would change:\n\n{difference(release)}\nand run:\n")
        print("\n".join(" ".join(command) for command in [*before, *release.commands(push=options.push)]))
        return 1 if found else 0
    return 1 if found else make(release, before, push=options.push)


if __name__ == "__main__":
    sys.exit(main())
