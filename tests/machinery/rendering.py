"""Rendering the template in this process, through Copier's API and without trust: `unsafe` is never passed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from copier import run_copy

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

ROOT = Path(__file__).resolve().parents[2]

#: Answers to questions without a default. All others come from the combination, or are defaults.
NAMED = {"project_name": "Harbour Log"}


def snapshot(destination: Path, source: Path = ROOT) -> Path:
    """Copy copier.yml and template/ from the working tree, so that a run sees one state of them.

    The copy is a plain directory: Copier clones a git repository for each copy, which costs more than
    rendering.
    """
    names = git(
        source, "ls-files", "--cached", "--others", "--exclude-standard", "-z", "copier.yml", "template"
    )
    for name in filter(None, names.split("\0")):
        if (source / name).is_file():
            (destination / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, destination / name)
    return destination


def render(
    template: Path,
    destination: Path,
    answers: Mapping[str, Any],
    *,
    only: Collection[str] = (),
    without: Collection[str] = (),
    ref: str | None = None,
) -> Path:
    """Render a project. With `only`, render only matching files, regardless of answers; `without` excludes files."""
    exclude = ["*", *(f"!{pattern}" for pattern in only)] if only else list(without)
    run_copy(
        str(template),
        destination,
        data={**NAMED, **answers},
        vcs_ref=ref,
        defaults=True,
        quiet=True,
        overwrite=True,
        exclude=exclude,
    )
    return destination


def git(directory: Path, *arguments: str) -> str:
    """Run git as a fixed author, isolated from the developer's configuration."""
    author = ("-c", "user.name=Owner", "-c", "user.email=owner@example.com", "-c", "commit.gpgsign=false")
    result = subprocess.run(
        ["git", *author, "-C", str(directory), *arguments], capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise RuntimeError(f"git {' '.join(arguments)} failed in {directory}: {result.stderr}")
    return result.stdout
