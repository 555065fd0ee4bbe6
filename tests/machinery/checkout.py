"""A git clone of the template in which a test may change things and make releases."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.machinery.rendering import git

if TYPE_CHECKING:
    from pathlib import Path


def checkout(template: Path, destination: Path, tag: str = "v1.0.0") -> Path:
    """Make a repository with the template as it is in the working tree, released under this tag."""
    shutil.copytree(template, destination)
    git(destination, "init", "--quiet", "--initial-branch=main")
    release(destination, tag)
    return destination


def release(repository: Path, tag: str) -> str:
    """Commit every change in a clone, and tag it."""
    commit(repository, f"Release {tag}")
    git(repository, "tag", tag)
    return tag


def commit(repository: Path, message: str) -> None:
    """Commit every change."""
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", message)


def begin(project: Path) -> Path:
    """Make a rendered project a repository of its own, as the message after the copy says."""
    git(project, "init", "--quiet", "--initial-branch=main")
    commit(project, "Start from Keel")
    return project


def insert(path: Path, after: str, text: str) -> None:
    """Insert lines after the line that contains `after`: what an owner does in an editor."""
    _edit(path, after, text, offset=1)


def insert_before(path: Path, before: str, text: str) -> None:
    """Insert lines before the line that contains `before`."""
    _edit(path, before, text, offset=0)


def replace(path: Path, old: str, new: str) -> None:
    """Replace the one place where `old` stands."""
    content = path.read_text(encoding="utf-8")
    if content.count(old) != 1:
        raise ValueError(f"{path} holds {content.count(old)} times: {old}")
    path.write_text(content.replace(old, new), encoding="utf-8")


def _edit(path: Path, mark: str, text: str, *, offset: int) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    places = [number for number, line in enumerate(lines) if mark in line]
    if len(places) != 1:
        raise ValueError(f"{path} has {len(places)} lines with: {mark}")
    lines.insert(places[0] + offset, text)
    path.write_text("".join(lines), encoding="utf-8")
