"""The definitions in a project's modules: classes, their bases and their private names."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_REASON = re.compile(r"\bprivate: (\S.{9,})$")

#: Documented as public; the underscore only distinguishes them from names of columns and fields.
_PUBLIC = {"_asdict", "_fields", "_make", "_mapping", "_replace"}


@dataclass
class Class:
    """A class of the project."""

    module: str
    line: int
    bases: list[str]
    """Full names: `package.module.Class`."""
    own: set[str] = field(default_factory=set)
    """Private names that its body and its methods define."""
    methods: dict[str, int] = field(default_factory=dict)
    """Private names that its body defines, with their lines."""


@dataclass
class Module:
    """A module of the project."""

    path: str
    tree: ast.Module
    reasons: dict[int, str]
    imported: dict[str, str]
    """Local name to full name."""
    classes: dict[str, Class] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    """Private names that the module or one of its classes defines."""


def is_private(name: str) -> bool:
    """Whether a name begins with one underscore and is not documented as public."""
    return (
        name.startswith("_") and not name.startswith("__") and name.strip("_") != "" and name not in _PUBLIC
    )


def module_name(path: Path) -> str:
    """Return the full name of the module at a path within the project."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def parse(project: Path, path: Path) -> Module:
    """Read the definitions of a module."""
    source = path.read_text(encoding="utf-8")
    module = Module(path.relative_to(project).as_posix(), ast.parse(source), _reasons(source), {})
    name = module_name(path.relative_to(project))
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                module.imported[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            module.imported |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    local = {
        node.name: f"{name}.{node.name}" for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef):
            bases = [full_name(base, {**module.imported, **local}) for base in node.bases]
            module.classes[node.name] = _class(name, node, [base for base in bases if base])
    module.own = {private for each in module.classes.values() for private in each.own}
    module.own |= {private for node in ast.walk(module.tree) for private in _defined(node)}
    return module


def _reasons(source: str) -> dict[int, str]:
    """Reasons by line."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [token for token in tokens if token.type == tokenize.COMMENT]
    return {token.start[0]: found[1] for token in comments if (found := _REASON.search(token.string))}


def full_name(node: ast.expr, names: dict[str, str]) -> str | None:
    """Return the full name in an expression such as `a.b.C` or `C[T]`."""
    if isinstance(node, ast.Subscript):
        return full_name(node.value, names)
    if isinstance(node, ast.Attribute):
        return f"{before}.{node.attr}" if (before := full_name(node.value, names)) else None
    return names.get(node.id, node.id) if isinstance(node, ast.Name) else None


def _class(module: str, node: ast.ClassDef, bases: list[str]) -> Class:
    found = Class(module, node.lineno, bases)
    for statement in node.body:
        for name in _defined(statement):
            found.methods[name] = statement.lineno
    found.own = set(found.methods)
    for inner in ast.walk(node):
        target = inner if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store) else None
        if target and isinstance(target.value, ast.Name) and target.value.id in {"self", "cls"}:
            found.own |= {target.attr} if is_private(target.attr) else set()
    return found


def _defined(node: ast.AST) -> Iterator[str]:
    """Yield the private names that a statement defines."""
    names: list[str] = []
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            names = [node.name]
        case ast.Assign():
            names = [
                each.id for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name)
            ]
        case ast.AnnAssign(target=ast.Name(id=name)):
            names = [name]
    yield from filter(is_private, names)
