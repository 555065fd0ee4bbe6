"""One environment with everything that any combination or made-up feature declares, built once and shared by all.

Other tests show that each project declares what it needs: a check of its imports, and isolated installs.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.machinery.beacon import DEPENDENCY
from tests.machinery.combinations import combine, exhaustive, extremes
from tests.machinery.rendering import ROOT, render

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.machinery.questions import Questions

CACHE = ROOT / ".cache"
DECLARATIONS = "template/pyproject.toml.jinja"
#: For programs of this environment that are started repeatedly: their bytecode is kept, regardless of the shell.
BYTECODE = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(CACHE / "bytecode")}
_KEEP_SECONDS = 7 * 24 * 3600


def uv() -> str:
    """Return the uv that runs these tests, else the one on PATH."""
    found = os.environ.get("UV") or shutil.which("uv")
    if found is None:
        raise RuntimeError("uv was not found; run the tests by `python3 -m uv run pytest`")
    return found


def declared(pyproject: Path, *groups: str) -> set[str]:
    """Return the names of distributions that a project declares, in its dependencies and in these groups."""
    data = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    lines = list(data["project"].get("dependencies", ()))
    for group in groups:
        lines += [line for line in data["dependency-groups"][group] if isinstance(line, str)]
    return {canonicalize_name(Requirement(line).name) for line in lines}


@contextlib.contextmanager
def one_at_a_time(cache: Path = CACHE) -> Generator[None]:
    """Hold the lock for building what runs of this checkout share; wait for it, and report that."""
    cache.mkdir(exist_ok=True)
    with (cache / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Another run is building shared files in {cache}: waiting for it", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def shared_environment(questions: Questions, template: Path, scratch: Path) -> Path:
    """Return the interpreter of the shared environment; build it unless one for these declarations exists."""
    # Copier examines each file of a template for each copy: give it one with the only file that matters.
    bare = scratch / "template"
    for name in ("copier.yml", DECLARATIONS):
        (bare / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(template / name, bare / name)
    projects = [_declarations(questions, bare, scratch / "everything", item) for item in _widest(questions)]
    texts = sorted({_dependency_tables(path) for path in projects})
    key = hashlib.sha256(json.dumps([sys.version, texts, DEPENDENCY]).encode()).hexdigest()[:16]
    place = CACHE / f"shared-{key}"
    python = place / "bin" / "python"
    if not (place / "complete").exists():
        shutil.rmtree(place, ignore_errors=True)
        _uv("venv", "--quiet", "--no-project", "--python", sys.executable, str(place))
        wanted = [item for path in projects for item in ("-r", str(path), "--group", f"{path}:dev")]
        _uv("pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), *wanted, DEPENDENCY)
        _prune(place)
    (place / "complete").touch()
    return python


def _prune(current: Path) -> None:
    """Remove environments unused for a week: each state of the template with other dependencies creates one."""
    for mark in CACHE.glob("shared-*/complete"):
        if mark.parent != current and time.time() - mark.stat().st_mtime > _KEEP_SECONDS:
            shutil.rmtree(mark.parent, ignore_errors=True)


def _widest(questions: Questions) -> list[dict[str, object]]:
    """Return answers whose declarations together cover all: a feature's may depend on one other answer."""
    single = [
        combine(questions, combination.answers)
        for toggle in questions.toggles
        for combination in exhaustive(questions, (toggle,))
    ]
    return [combination.answers for combination in (*extremes(questions), *single)]


def _declarations(questions: Questions, template: Path, scratch: Path, answers: dict[str, object]) -> Path:
    place = scratch / combine(questions, answers).id
    return render(template, place, answers) / "pyproject.toml"


def _dependency_tables(pyproject: Path) -> str:
    data = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    return json.dumps([data["project"].get("dependencies"), data.get("dependency-groups")])


def _uv(*arguments: str) -> None:
    result = subprocess.run([uv(), *arguments], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"uv {' '.join(arguments)} failed:\n{result.stderr}")
