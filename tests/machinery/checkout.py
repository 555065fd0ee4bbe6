"""A git clone of the template that a test may change and release."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.machinery.rendering import git

if TYPE_CHECKING:
    from pathlib import Path


def checkout(template: Path, destination: Path, tag: str = "v1.0.0") -> Path:
    """Create a repository with the template of the working tree, released under a tag."""
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
    """Make a rendered project its own repository, as the message after the copy says."""
    git(project, "init", "--quiet", "--initial-branch=main")
    commit(project, "Start from Keel")
    return project


def insert(path: Path, after: str, text: str) -> None:
    """Insert lines after the line that contains `after`, as an owner does in an editor."""
    content = path.read_text(encoding="utf-8")
    end = content.index("\n", _only(path, content, after) + len(after.rstrip("\n"))) + 1
    path.write_text(content[:end] + text + content[end:], encoding="utf-8")


def insert_before(path: Path, before: str, text: str) -> None:
    """Insert lines before the occurrence of `before`."""
    content = path.read_text(encoding="utf-8")
    start = _only(path, content, before)
    path.write_text(content[:start] + text + content[start:], encoding="utf-8")


def replace(path: Path, old: str, new: str) -> None:
    """Replace the only occurrence of `old`."""
    content = path.read_text(encoding="utf-8")
    start = _only(path, content, old)
    path.write_text(content[:start] + new + content[start + len(old) :], encoding="utf-8")


def _only(path: Path, content: str, part: str) -> int:
    """Return the position of the only occurrence of a part; raise ValueError if there is none, or more than one."""
    if content.count(part) != 1:
        raise ValueError(f"{path} contains {content.count(part)} times: {part.strip()}")
    return content.index(part)
