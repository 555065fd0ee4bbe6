"""What a Python file depends on: itself and all files of its project that it imports, directly or not.

A type checker's findings in a file depend on nothing else of the project but its configuration. So a file that has
passed in one project passes in all in which its closure is byte for byte the same, and is not checked there again.
"""

from __future__ import annotations

import ast
import hashlib
import tomllib
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping
    from pathlib import Path

_SUFFIXES = (".py", ".pyi")


class Passed:
    """The closures that have passed a check, in a directory that the workers of a run share."""

    def __init__(self, store: Path, project: Path) -> None:
        """Take the digests of a project's files."""
        store.mkdir(parents=True, exist_ok=True)
        self._store, self._digests = store, digests(project)

    def split(self, left: Container[str] = ()) -> tuple[list[str], list[str]]:
        """Return the files that have not passed, without those `left`, and all others."""
        known = {path.name for path in self._store.iterdir()}
        new = {path for path, digest in self._digests.items() if digest not in known and path not in left}
        return sorted(new), sorted(self._digests.keys() - new)

    def add(self, paths: Iterable[str]) -> None:
        """Record that these files have passed."""
        for path in paths:
            (self._store / self._digests[path]).touch()


def digests(project: Path) -> dict[str, str]:
    """Return a digest of the closure of each Python file of a project and the type checker's configuration, by path."""
    contents = {
        path.relative_to(project).as_posix(): path.read_bytes()
        for suffix in _SUFFIXES
        for path in project.rglob(f"*{suffix}")
    }
    hashes = {path: hashlib.sha256(source).digest() for path, source in contents.items()}
    needs = {path: set(_files(path, source, contents)) for path, source in contents.items()}
    rules = _rules(project)
    return {path: _digest(_reached(path, needs), hashes, rules) for path in contents}


def _rules(project: Path) -> bytes:
    told = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    return repr((told["project"]["requires-python"], told["tool"]["ty"])).encode()


def _digest(paths: Iterable[str], hashes: Mapping[str, bytes], rules: bytes) -> str:
    result = hashlib.sha256(rules)
    for path in sorted(paths):
        result.update(path.encode() + b"\0" + hashes[path])
    return result.hexdigest()


def _reached(path: str, needs: Mapping[str, set[str]]) -> set[str]:
    found, waiting = {path}, [path]
    while waiting:
        more = needs[waiting.pop()] - found
        found |= more
        waiting += more
    return found


def _files(path: str, source: bytes, known: Container[str]) -> Iterator[str]:
    """Yield the files of the project that a file's imports may load, packages on the way included."""
    package = path.split("/")[:-1]
    for level, name in _imported(source):
        parts = [*(package[: len(package) - level + 1] if level else []), *name.split(".")]
        for length in range(1, len(parts) + 1):
            place = "/".join(parts[:length])
            tried = (f"{place}{end}{suffix}" for end in ("", "/__init__") for suffix in _SUFFIXES)
            yield from (each for each in tried if each in known)


@cache
def _imported(source: bytes) -> frozenset[tuple[int, str]]:
    """Return all imports of a file, those in functions and for types included: leading dots and dotted name."""
    found = set[tuple[int, str]]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {(0, each.name) for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = f"{node.module}." if node.module else ""
            found |= {(node.level, start + each.name) for each in node.names}
    return frozenset(found)
