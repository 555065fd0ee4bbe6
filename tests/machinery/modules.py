"""The check that every module of a project can be imported alone, first in its process.

A circle of imports shows only in the module that happens to be imported first. What a module's import does depends on
the files that it loads; a module is tried again only where one of these differs from each time before, in whichever
process of the run that was.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.machinery.warm import WarmProcess

PACKAGES = ("app", "keel")

#: By these a module finds others that it does not name: then it depends on every file.
_DISCOVERY = (b"iter_modules", b"walk_packages", b"import_module")


class Memory:
    """Per module, the files (with digests) that were loaded when it could be imported; processes share a file of it."""

    def __init__(self, store: Path) -> None:
        """Take the file; it need not be there yet."""
        self._store = store
        self._read = 0
        self._known: dict[str, list[dict[str, str]]] = {}

    def learn(self) -> None:
        """Read what other processes have added since the last time."""
        if not self._store.exists():
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
        text = "".join(f"{json.dumps(each)}\n" for each in found.items())
        file = os.open(self._store, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            os.write(file, text.encode())  # in one piece, so that no other's comes between
        finally:
            os.close(file)

    def holds(self, module: str, digests: dict[str, str]) -> bool:
        """Whether the module could be imported among such files."""
        return any(known.items() <= digests.items() for known in self._known.get(module, ()))


@cache
def memory(store: Path) -> Memory:
    """What this process knows of a file."""
    return Memory(store)


def unimportable(project: Path, warm: WarmProcess, environment: Mapping[str, str]) -> Iterator[str]:
    """Modules that cannot be imported alone. What was found out is kept beside the project, for others there."""
    known = memory(project.parent / "importable.jsonl")
    known.learn()
    paths = sorted(path for package in PACKAGES for path in (project / package).rglob("*.py"))
    paths = [path for path in paths if not {"tests", "testing"} & set(path.parts)]
    contents = {path.relative_to(project).as_posix(): path.read_bytes() for path in paths}
    digests = {name: hashlib.sha256(content).hexdigest()[:16] for name, content in contents.items()}
    modules = [name for name in map(_module, contents) if not known.holds(name, digests)]
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
        loaded = report["files"]
        if any(word in contents.get(file, b"") for file in loaded for word in _DISCOVERY):
            loaded = list(digests)
        importable[name] = {file: digests[file] for file in loaded if file in digests}
    known.add(importable)
    reports.unlink()


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
