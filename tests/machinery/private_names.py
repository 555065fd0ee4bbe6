"""Finds uses of private names of libraries, which could break on an upgrade.

A name with one leading underscore is a library's unless the project defines it where it is used: in the class or one of
the project's classes that it inherits from (`self._x`), or in the module (`other._x`). An unavoidable use states its
reason in a comment on the same line: `# private: reason`.
"""

from __future__ import annotations

import ast
import json
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, cast

from tests.machinery.definitions import Class, Module, full_name, is_private, module_name, parse
from tests.machinery.imports import FIRST_PARTY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_ACCESSORS = {"getattr", "setattr", "hasattr", "delattr"}

#: Prints the private names of library classes, given as `{"module:Class": …}` in one JSON list on standard input.
_INHERITED = """
import importlib, json, sys
found = {}
for name in json.load(sys.stdin):
    module, _, qualified = name.partition(":")
    value = importlib.import_module(module)
    for part in qualified.split("."):
        value = getattr(value, part, None)
    found[name] = [each for each in dir(value) if each.startswith("_") and not each.startswith("__")]
print(json.dumps(found))
"""


class Use(NamedTuple):
    """A private name of a library in a file of a project."""

    path: str
    line: int
    name: str

    def __str__(self) -> str:
        """Return its location and the name."""
        return f"{self.path}:{self.line}: {self.name}"


@dataclass
class Result:
    """The findings in a project."""

    unexplained: list[Use] = field(default_factory=list)
    explained: dict[Use, str] = field(default_factory=dict)
    stale: list[Use] = field(default_factory=list)
    """Reasons on lines without a private name."""


def find_private_names(project: Path, paths: Iterable[Path], python: Path | None = None) -> Result:
    """Examine files of a project; given its interpreter, also find overrides of libraries' private methods."""
    modules = {module_name(path.relative_to(project)): parse(project, path) for path in paths}
    classes = {
        f"{name}.{key}": each for name, module in modules.items() for key, each in module.classes.items()
    }
    result = Result()
    overrides = _overrides(classes, python) if python else {}
    for name, module in modules.items():
        used = {*_uses(module, name, classes), *overrides.get(name, ())}
        for line, private in sorted(used):
            use = Use(module.path, line, private)
            if line in module.reasons:
                result.explained[use] = module.reasons[line]
            else:
                result.unexplained.append(use)
        lines = {line for line, _ in used}
        result.stale += [
            Use(module.path, line, text) for line, text in module.reasons.items() if line not in lines
        ]
    return result


def _inherited(name: str, classes: dict[str, Class]) -> set[str]:
    """Return private names of a project's class and of its base classes in the project."""
    if name not in classes:
        return set()
    return classes[name].own.union(
        *(_inherited(base, classes) for base in classes[name].bases if base != name)
    )


def _uses(module: Module, name: str, classes: dict[str, Class]) -> Iterator[tuple[int, str]]:
    yield from _imports(module.tree)
    yield from _accesses(module, module.tree, module.own)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef):
            own = _inherited(f"{name}.{node.name}", classes)
            # A name that this class does not define may come from a library's base class.
            for inner in ast.walk(node):
                if isinstance(inner, ast.Attribute) and _receiver(inner) and is_private(inner.attr):
                    bases = (_inherited(base, classes) for base in classes[f"{name}.{node.name}"].bases)
                    known = own if _receiver(inner) != "super" else set().union(*bases)
                    if inner.attr not in known:
                        yield inner.lineno, inner.attr


def _receiver(node: ast.Attribute) -> str:
    """Return `self`, `cls` or `super` if that is the object of an attribute."""
    match node.value:
        case ast.Name(id="self" | "cls" as name):
            return name
        case ast.Call(func=ast.Name(id="super")):
            return "super"
    return ""


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for full in names:
            if full.partition(".")[0] not in FIRST_PARTY and any(map(is_private, full.split("."))):
                yield node.lineno, full


def _accesses(module: Module, tree: ast.Module, own: set[str]) -> Iterator[tuple[int, str]]:
    """Yield attributes of anything but `self`, and names in calls such as `getattr`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not _receiver(node) and is_private(node.attr):
            full = full_name(node.value, module.imported) or ""
            if node.attr not in own and full.partition(".")[0] not in FIRST_PARTY:
                yield node.lineno, node.attr
        elif isinstance(node, ast.Call) and (name := _named(node)) and is_private(name) and name not in own:
            yield node.lineno, name


def _named(node: ast.Call) -> str:
    """Return the attribute in a call such as `getattr(x, "name")`."""
    match node:
        case ast.Call(func=ast.Name(id=function), args=[_, ast.Constant(value=str(name)), *_]):
            return name if function in _ACCESSORS else ""
    return ""


def _overrides(classes: dict[str, Class], python: Path) -> dict[str, list[tuple[int, str]]]:
    """Return libraries' private methods that the project's classes override, by module."""
    foreign: dict[str, set[str]] = {name: set(_libraries(name, classes)) for name in classes}
    wanted = sorted(set().union(*foreign.values()))
    command = [str(python), "-W", "ignore", "-c", _INHERITED]
    printed = subprocess.run(
        command, input=json.dumps(wanted), capture_output=True, text=True, check=True
    ).stdout
    private = cast("dict[str, list[str]]", json.loads(printed))
    found: dict[str, list[tuple[int, str]]] = {}
    for name, each in classes.items():
        known = {private_name for library in foreign[name] for private_name in private[library]}
        for method, line in each.methods.items():
            if method in known:
                found.setdefault(each.module, []).append((line, method))
    return found


def _libraries(name: str, classes: dict[str, Class]) -> Iterator[str]:
    """Yield a class's base classes from libraries, as `module:Class`."""
    for base in classes[name].bases:
        if base in classes:
            yield from _libraries(base, classes) if base != name else ()
        elif "." in base and base.partition(".")[0] not in FIRST_PARTY:
            module, _, last = base.rpartition(".")
            yield f"{module}:{last}"
