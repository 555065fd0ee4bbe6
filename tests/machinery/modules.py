"""The check that every module of a project can be imported alone, first in its process.

A circle of imports shows only in the module that happens to be imported first. What a module's import does depends on
the files that it loads; a module is tried again only where one of these differs from each time before.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.machinery.warm import WarmProcess

PACKAGE = "app"

#: By these a module finds others that it does not name: then it depends on every file.
_DISCOVERY = (b"iter_modules", b"walk_packages", b"import_module")

#: Per module, the files (with digests) that were loaded when it could be imported.
_known: dict[str, list[dict[str, str]]] = {}


def unimportable(project: Path, warm: WarmProcess, environment: Mapping[str, str]) -> Iterator[str]:
    """Modules that cannot be imported alone."""
    paths = sorted((project / PACKAGE).rglob("*.py"))
    contents = {path.relative_to(project).as_posix(): path.read_bytes() for path in paths}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    modules = [name for name in map(_module, contents) if not _is_known(name, digests)]
    if not modules:
        return
    reports = project.parent / f"{project.name}.modules.json"
    request = {"modules": modules, "package": PACKAGE, "reports": str(reports)}
    outcome = warm.run("alone", directory=project, environment=environment, alone=request)
    if outcome.status != 0:
        yield outcome.tail()
        return
    for name, report in json.loads(reports.read_text(encoding="utf-8")).items():
        if "error" in report:
            yield f"{name} cannot be imported alone:\n{report['error']}"
            continue
        loaded = report["files"]
        if any(word in contents.get(file, b"") for file in loaded for word in _DISCOVERY):
            loaded = list(digests)
        _known.setdefault(name, []).append({file: digests[file] for file in loaded if file in digests})
    reports.unlink()


def _is_known(module: str, digests: dict[str, str]) -> bool:
    return any(known.items() <= digests.items() for known in _known.get(module, ()))


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
