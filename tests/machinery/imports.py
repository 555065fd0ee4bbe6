"""Checks that a project declares what it imports."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from tests.machinery.environment import declared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST_PARTY = frozenset({"app", "keel", "tests", "migrations"})

#: Folders of code that runs with the group dev, in each wing and shared.
_TESTS = {"tests", "testing", "conftest.py"}

_OWNERS = """
import importlib.metadata, json, pathlib
owners = {}
for distribution in importlib.metadata.distributions():
    for file in distribution.files or ():
        if file.suffix in {".py", ".so", ".pyd"}:
            parts = list(file.parts[:-1]) + [file.name.partition(".")[0]]
            for length in range(1, len(parts) + 1):
                owners.setdefault(".".join(parts[:length]), set()).add(distribution.metadata["Name"])
print(json.dumps({module: sorted(names) for module, names in owners.items()}))
"""


def undeclared(project: Path, python: Path) -> Iterator[str]:
    """Yield imports of third-party modules whose distribution the project does not declare in the right place."""
    runtime = declared(project / "pyproject.toml")
    everything = declared(project / "pyproject.toml", "dev")
    owners = _owners(python)
    for path in sorted(project.rglob("*.py")):
        place = path.relative_to(project)
        allowed = everything if _TESTS & set(place.parts) else runtime
        for line, module in _imported(path.read_bytes()):
            top = module.partition(".")[0]
            if top in FIRST_PARTY or top in sys.stdlib_module_names:
                continue
            if not allowed & _distributions(owners, module):
                where = "[project.dependencies]" if allowed is runtime else "the group dev"
                yield f"{place.as_posix()}:{line}: {module} is imported, but not declared in {where}"


def third_party(project: Path) -> set[str]:
    """Return every third-party module that a project imports."""
    named = {module for path in project.rglob("*.py") for _, module in _imported(path.read_bytes())}
    return {name for name in named if name.partition(".")[0] not in FIRST_PARTY | sys.stdlib_module_names}


@cache
def _imported(source: bytes) -> list[tuple[int, str]]:
    """Return a file's imports by line. Most files are the same in most projects: each is parsed once per process."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, name.name) for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [(node.lineno, f"{node.module}.{name.name}") for name in node.names]
    return found


def _distributions(owners: dict[str, set[str]], module: str) -> set[str]:
    """Return the distributions that install this module, or its nearest parent package."""
    while module and module not in owners:
        module = module.rpartition(".")[0]
    return owners.get(module, set())


@cache
def _owners(python: Path) -> dict[str, set[str]]:
    """Return the distributions of every installed module."""
    known = python.parent.parent / "owners.json"
    if not known.is_file():
        result = subprocess.run([str(python), "-c", _OWNERS], capture_output=True, text=True, check=True)
        draft = known.with_name(f"owners.{os.getpid()}")
        draft.write_text(result.stdout, encoding="utf-8")
        draft.rename(known)
    owners = json.loads(known.read_text(encoding="utf-8"))
    return {module: {canonicalize_name(name) for name in names} for module, names in owners.items()}
