"""The check that every module of a project can be imported alone, first in its process.

A circle of imports shows only in the module that happens to be imported first. What a module's import does depends on
the files that it loads and reads, where it looks at nothing else (`import_witness`); a module is tried again only where
one of these differs from each time before, in whichever process of the run that was.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.machinery.warm import WarmProcess

PACKAGES = ("app", "keel")

_TESTS = {"tests", "testing"}
_PYPROJECT = "pyproject.toml"


class Memory:
    """Per module, the files (with digests) that were loaded when it could be imported; processes share a file of it."""

    def __init__(self, store: Path | None = None) -> None:
        """Take the file; it need not be there yet. Without one nothing is known."""
        self._store = store
        self._read = 0
        self._known: dict[str, list[dict[str, str]]] = {}
        self._asked: list[bool] = []

    def learn(self) -> None:
        """Read what other processes have added since the last time."""
        if self._store is None or not self._store.exists():
            return
        with self._store.open("rb") as file:
            file.seek(self._read)
            added = file.read()
        whole = added[: added.rfind(b"\n") + 1]  # the last line may be one that is being written
        self._read += len(whole)
        for line in whole.splitlines():
            module, loaded = json.loads(line)
            self._known.setdefault(module, []).append(loaded)

    def add(self, found: Mapping[str, dict[str, str]]) -> None:
        """Tell the others of modules that could be imported, and what each has loaded."""
        if self._store is None:
            return
        text = "".join(f"{json.dumps(each)}\n" for each in found.items())
        file = os.open(self._store, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            os.write(file, text.encode())  # in one piece, so that no other's comes between
        finally:
            os.close(file)

    def holds(self, module: str, digests: dict[str, str]) -> bool:
        """Whether the module could be imported among such files."""
        held = any(known.items() <= digests.items() for known in self._known.get(module, ()))
        self._asked.append(held)
        return held

    def counts(self) -> dict[str, int]:
        """How many modules were tried, and how many were known, since this was asked last."""
        asked, self._asked = self._asked, []
        return {"tried": asked.count(False), "known": asked.count(True)}


@cache
def memory(store: Path) -> Memory:
    """What this process knows of a file."""
    return Memory(store)


def unimportable(
    project: Path, warm: WarmProcess, environment: Mapping[str, str], known: Memory
) -> Iterator[str]:
    """Modules that cannot be imported alone, of those of which it is not known that they can."""
    known.learn()
    found = sorted(path for package in PACKAGES for path in (project / package).rglob("*") if path.is_file())
    paths = [path for path in found if path.suffix != ".pyc"]
    contents = {path.relative_to(project).as_posix(): path.read_bytes() for path in paths}
    if (project / _PYPROJECT).is_file():
        contents[_PYPROJECT] = _what_is_read((project / _PYPROJECT).read_text(encoding="utf-8"))
    digests = {name: hashlib.sha256(content).hexdigest()[:16] for name, content in contents.items()}
    code = [name for name in contents if name.endswith(".py") and not _TESTS & set(name.split("/"))]
    modules = [name for name in map(_module, code) if not known.holds(name, digests)]
    if not modules:
        return
    reports = project.parent / f"{project.name}.modules.json"
    request = {"modules": modules, "packages": PACKAGES, "reports": str(reports)}
    outcome = warm.run("alone", directory=project, environment=environment, alone=request)
    if outcome.status != 0:
        yield outcome.tail()
        return
    importable: dict[str, dict[str, str]] = {}
    for name, report in json.loads(reports.read_text(encoding="utf-8")).items():
        if "error" in report:
            yield f"{name} cannot be imported alone:\n{report['error']}"
            continue
        known_files = not report["beyond"] and digests.keys() >= set(report["files"])
        importable[name] = {file: digests[file] for file in report["files"]} if known_files else digests
    known.add(importable)
    reports.unlink()


def _what_is_read(pyproject: str) -> bytes:
    """What a project's code reads of it (`keel.about`): all but what is installed, which is the same for all here."""
    data = tomllib.loads(pyproject)
    data.pop("dependency-groups", None)
    data.get("project", {}).pop("dependencies", None)
    data.get("tool", {}).pop("importlinter", None)
    return json.dumps(data, sort_keys=True, default=str).encode()


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
