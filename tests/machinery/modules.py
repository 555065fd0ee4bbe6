"""The check that every module of a project can be imported first in its process.

A circular import shows only in the module that happens to be imported first. Without circles, the order makes no
difference: one process that imports all modules in sequence gives the same result as a process per module. The source
text shows that there is no circle; the process of the project's own tests, which has loaded most modules, does the
rest. With `--no-reuse`, each module is imported in its own process.
"""

from __future__ import annotations

import ast
import json
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from tests.machinery.warm import WarmProcess

PACKAGES = ("app", "keel")

_TESTS = {"tests", "testing"}
#: Blocks that run when a module is imported, unlike the body of a function.
_RUN_LATER = (ast.FunctionDef, ast.AsyncFunctionDef)


def modules(project: Path) -> dict[str, Path]:
    """Return the modules of a project by name, except its tests."""
    found = sorted(path for package in PACKAGES for path in (project / package).rglob("*.py"))
    places = {path: path.relative_to(project) for path in found}
    return {_name(place): path for path, place in places.items() if not _TESTS & set(place.parts)}


def circles(project: Path) -> Iterator[str]:
    """Yield a circle of imports, if there is one."""
    found = modules(project)
    graph = {name: _needs(name, path, found) for name, path in found.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield f"A circle of imports: {' is imported by '.join(error.args[1])}"


def unimportable(project: Path, warm: WarmProcess) -> Iterator[str]:
    """Yield modules that cannot be imported alone, each tried in its own process."""
    reports = project.parent / f"{project.name}.modules.json"
    request = {"modules": [*modules(project)], "reports": str(reports)}
    outcome = warm.run("alone", directory=project, alone=request)
    if outcome.status != 0:
        yield outcome.tail()
        return
    for name, error in json.loads(reports.read_text(encoding="utf-8")).items():
        if error:
            yield f"{name} cannot be imported alone:\n{error}"
    reports.unlink()


def _needs(name: str, path: Path, known: Collection[str]) -> set[str]:
    """Return the modules that are loaded, or whose names are used, while this one is imported.

    A module's parent packages exist, at least partly, before it runs: loading another of their modules needs
    nothing from them.
    """
    around = {name.rpartition(".")[0]}
    while "" not in around:
        around |= {each.rpartition(".")[0] for each in around}
    needed: set[str] = set()
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for level, tail, names in _imported(path.read_bytes()):
        module = ".".join(
            [*package[: len(package) - level + 1], *tail.split(".")] if level else [tail]
        ).rstrip(".")
        parts = module.split(".")
        way = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
        inside = {f"{module}.{each}" for each in names}
        needed |= (way | inside) - around
        if names and not inside <= set(known):
            needed.add(module)  # a name of the module itself, which must exist by then
    return (needed & set(known)) - {name}


@cache
def _imported(source: bytes) -> list[tuple[int, str, tuple[str, ...]]]:
    """Return the imports that a file executes: the leading dots, the module, and the names."""
    found: list[tuple[int, str, tuple[str, ...]]] = []
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found += [(0, each.name, ()) for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.level, node.module or "", tuple(each.name for each in node.names)))
        elif isinstance(node, ast.If) and ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING":
            waiting += node.orelse
        elif not isinstance(node, _RUN_LATER) and not isinstance(node, ast.expr):
            waiting += ast.iter_child_nodes(node)
    return found


def _name(place: Path) -> str:
    return place.as_posix().removesuffix(".py").removesuffix("/__init__").replace("/", ".")
