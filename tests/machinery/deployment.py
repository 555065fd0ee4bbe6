"""Deployment files, rendered for every combination, and helpers of their tests."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sysconfig
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.machinery.combinations import combine, extremes
from tests.machinery.rendering import render

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.machinery.combinations import Combination
    from tests.machinery.questions import Questions

#: The parts of a project that neither belong to its deployment nor name settings.
ASIDE = ("app", "keel", "migrations", "tests", "conftest.py", "*.md", "pyproject.toml", ".copier-answers.yml")
#: All answers about deployment.
MOST = {"ci": "github", "kubernetes": True}
AWKWARD = {"project_name": "Hafen \"Lög\" '${HOME}': #1", "description": 'a: "b" \\ $X - é'}


def deployments(
    questions: Questions, template: Path, chosen: Iterable[Combination], scratch: Path
) -> list[Path]:
    """Render the deployment of each combination, with everything switched on; the extremes with every answer about it.

    A result identical to an earlier one is skipped: most features change nothing here.
    """
    extras = [
        dict(zip((axis.name for axis in questions.extras), row, strict=True))
        for row in product(*(axis.values for axis in questions.extras))
    ]
    wanted = [{**item.answers, **MOST} for item in chosen]
    wanted += [{**item.answers, **answers} for item in extremes(questions) for answers in extras]
    aside = [f"/{name}" for name in ASIDE]
    seen: dict[str, Path] = {}
    for answers in {combine(questions, item).id: item for item in wanted}.values():
        project = scratch / combine(questions, answers).id
        render(template, project, {**AWKWARD, **answers}, without=aside)
        if seen.setdefault(digest(project), project) != project:
            shutil.rmtree(project)
    return list(seen.values())


def digest(path: Path) -> str:
    """Return the digest of a file, or of all files in a directory with their paths."""
    result = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file()):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        result.update(f"{file.relative_to(path)}\0{content}\0".encode())
    return result.hexdigest()


def distinct(projects: Iterable[Path], pattern: str) -> list[Path]:
    """Return the matching files or directories of all projects, each content once."""
    found = {digest(path): path for project in projects for path in project.glob(pattern)}
    assert found, pattern
    return list(found.values())


def lint(program: str, *arguments: str | Path) -> str:
    """Run a program installed next to this interpreter; return its output. Fail with it on errors."""
    command = [str(Path(sysconfig.get_path("scripts")) / program), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        pytest.fail(f"{result.stdout}\n{result.stderr}", pytrace=False)
    return result.stdout


def settings(project: Path) -> set[str]:
    """Return the variables that a project's settings classes read; another test asserts that `.env.example` has all."""
    text = (project / ".env.example").read_text(encoding="utf-8")
    return set(re.findall(r"^# ([A-Z][A-Z_]+)=", text, re.MULTILINE))


def load(path: Path) -> dict[str, Any]:
    """Load a YAML file with one document."""
    (document,) = documents([path])
    return document


def documents(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Yield every document of these YAML files."""
    for path in paths:
        yield from yaml.safe_load_all(path.read_text(encoding="utf-8"))


def pod(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the pod specification of a manifest; empty if it creates no pods."""
    spec = manifest.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    made = spec.get("template", {}).get("spec", {})
    assert isinstance(made, dict)
    return made


def containers(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the containers of a manifest's pods, init containers first."""
    spec = pod(manifest)
    return [*spec.get("initContainers", []), *spec.get("containers", [])]
