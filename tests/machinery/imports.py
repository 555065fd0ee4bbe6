"""Checks that what a project imports is what it declares."""

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

#: Folders of code that runs with the group dev, one in each wing, and what both share.
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
    """Imports of third-party modules whose distribution the project does not declare where it must."""
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
    """Every third-party module that a project names in an import."""
    named = {module for path in project.rglob("*.py") for _, module in _imported(path.read_bytes())}
    return {name for name in named if name.partition(".")[0] not in FIRST_PARTY | sys.stdlib_module_names}


@cache
def _imported(source: bytes) -> list[tuple[int, str]]:
    """What a file imports, by line. Most files are the same in most results: each content is parsed once a process."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, name.name) for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [(node.lineno, f"{node.module}.{name.name}") for name in node.names]
    return found


def _distributions(owners: dict[str, set[str]], module: str) -> set[str]:
    """The distribution that installs this module, or the nearest package around it."""
    while module and module not in owners:
        module = module.rpartition(".")[0]
    return owners.get(module, set())


@cache
def _owners(python: Path) -> dict[str, set[str]]:
    """Every installed module with the distributions that bring files of it."""
    known = python.parent.parent / "owners.json"
    if not known.is_file():
        result = subprocess.run([str(python), "-c", _OWNERS], capture_output=True, text=True, check=True)
        draft = known.with_name(f"owners.{os.getpid()}")
        draft.write_text(result.stdout, encoding="utf-8")
        draft.rename(known)
    owners = json.loads(known.read_text(encoding="utf-8"))
    return {module: {canonicalize_name(name) for name in names} for module, names in owners.items()}
