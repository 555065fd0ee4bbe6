"""The definitions of one file and their references; the result depends only on the file's content."""

from __future__ import annotations

import ast
from functools import cache
from typing import Any

from tests.machinery.reachability.scope import Scope
from tests.machinery.reachability.terms import Definition, Module, Reference, imported

#: Decorators that register nothing: the decorated object is reached by its name.
_PLAIN = {
    "asynccontextmanager", "contextmanager", "property", "cached_property", "staticmethod", "classmethod", "cache",
    "lru_cache", "dataclass", "override", "abstractmethod", "overload", "runtime_checkable", "wraps", "final",
    "deprecated", "total_ordering", "setter",
}  # fmt: skip
_MUTATORS = {"append", "add", "update", "extend", "setdefault", "discard", "insert", "appendleft"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def facts(name: str, is_package: bool, source: bytes) -> Module:  # noqa: FBT001 - a key of the cache
    """Read a module."""
    module = Module(name, name if is_package else name.rpartition(".")[0])
    tree = ast.parse(source)
    names = {node.name for node in tree.body if isinstance(node, (*_FUNCTIONS, ast.ClassDef))}
    names |= {name.id for node in _flat(tree.body) for name in _targets(node)}
    Reader(module, names).module(tree)
    return module


def _flat(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return the statements of a module, including those in its top-level `if` and `try`."""
    found: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.If):
            found += _flat([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            handled = [part for handler in node.handlers for part in handler.body]
            found += _flat([*node.body, *handled, *node.orelse, *node.finalbody])
        else:
            found.append(node)
    return found


def _targets(node: ast.AST) -> list[ast.Name]:
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return []
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target for target in targets if isinstance(target, ast.Name)]


class Reader:
    """Reads one module."""

    def __init__(self, module: Module, names: set[str]) -> None:
        """Take the module to fill, and the names that it defines."""
        self.result = module
        self.names = names

    def module(self, tree: ast.Module) -> None:  # noqa: C901 - one branch for each kind of statement
        """Read everything."""
        prefix = self.result.name
        body = self.result.definitions[prefix] = Definition(prefix, "module")
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node)
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                body.references += [Reference(("import", target)) for target in imported(node)]
        for node in _flat(tree.body):
            if isinstance(node, _FUNCTIONS):
                self._function(node, prefix, "function", "")
            elif isinstance(node, ast.ClassDef):
                self._class(node, prefix)
            elif isinstance(node, ast.Assign | ast.AnnAssign) and (targets := _targets(node)):
                self._constant(node, prefix, targets[0].id)
            elif not isinstance(node, ast.Import | ast.ImportFrom):
                Scope(self, body, "").visit(node)
        for node in tree.body:
            if isinstance(node, ast.If):
                Scope(self, body, "").visit(node.test)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                self.result.imports[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            elif alias.asname:
                self.result.imports[alias.asname] = alias.name
            else:
                top = alias.name.partition(".")[0]
                self.result.imports[top] = top

    def global_name(self, name: str) -> tuple[Any, ...]:
        """Return the term of a name that is not local."""
        if name in self.names:
            return ("name", f"{self.result.name}.{name}")
        return ("name", self.result.imports.get(name, f"builtins.{name}"))

    def _constant(self, node: ast.Assign | ast.AnnAssign, prefix: str, name: str) -> None:
        found = Definition(f"{prefix}.{name}", "constant", node.lineno, node.end_lineno or 0)
        scope = Scope(self, found, "")
        if node.value:
            scope.visit(node.value)
            found.value = scope.term(node.value)
            found.annotation = scope.annotation(node.value)
            if isinstance(node.value, ast.Dict):
                found.keys = tuple(str(key.value) for key in node.value.keys if isinstance(key, ast.Constant))
        if isinstance(node, ast.AnnAssign):
            scope.visit(node.annotation)
            found.value = ("inst", scope.annotation(node.annotation))
        self.result.definitions[found.name] = found

    def _class(self, node: ast.ClassDef, prefix: str) -> None:
        name = f"{prefix}.{node.name}"
        found = self.result.definitions[name] = Definition(name, "class", node.lineno, node.end_lineno or 0)
        scope = Scope(self, found, name)
        for part in (*node.bases, *node.keywords, *node.decorator_list):
            scope.visit(part)
        found.bases = tuple(scope.annotation(base) for base in node.bases)
        found.decorators = tuple(_last(decorator) for decorator in node.decorator_list)
        for part in node.body:
            if isinstance(part, _FUNCTIONS):
                self._function(part, name, "method", name)
            elif isinstance(part, ast.ClassDef):
                self._class(part, name)
            elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                field_name = f"{name}.{part.target.id}"
                each = Definition(field_name, "field", part.lineno, part.end_lineno or 0, name)
                inner = Scope(self, each, name)
                inner.visit(part.annotation)
                if part.value:
                    inner.visit(part.value)
                each.value = ("inst", inner.annotation(part.annotation))
                self.result.definitions[field_name] = each
            else:
                scope.visit(part)

    def _function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, prefix: str, kind: str, owner: str
    ) -> None:
        name = f"{prefix}.{node.name}"
        if name in self.result.definitions and kind == "method":  # a property's setter, an overload
            found = self.result.definitions[name]
        else:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            found = self.result.definitions[name] = Definition(name, kind, first, node.end_lineno or 0, owner)
        scope = Scope(self, found, owner)
        found.decorators += tuple(_last(decorator) for decorator in node.decorator_list)
        found.registered_by += tuple(
            scope.term(_root(decorator))
            for decorator in node.decorator_list
            if _last(decorator) not in _PLAIN
        )
        scope.function(node)
        found.returns = scope.annotation(node.returns) if node.returns else None
        if owner:
            found.stores = _stores(node)
            self.result.definitions[owner].slots |= {
                key: [*self.result.definitions[owner].slots.get(key, []), *terms]
                for key, terms in scope.slots.items()
            }


def _last(decorator: ast.expr) -> str:
    match decorator.func if isinstance(decorator, ast.Call) else decorator:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def _root(node: ast.expr) -> ast.expr:
    while isinstance(node, ast.Call | ast.Attribute):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node


def _stores(node: ast.FunctionDef | ast.AsyncFunctionDef) -> frozenset[str]:
    """Return the attributes of `self` that a method assigns, if it does nothing else."""
    found: set[str] = set()

    def only_stores(body: list[ast.stmt]) -> bool:
        for part in body:
            if isinstance(part, ast.If):
                if not (only_stores(part.body) and only_stores(part.orelse)):
                    return False
            elif isinstance(part, ast.Assign):
                names = [_self_attribute(target) for target in part.targets]
                if None in names:
                    return False
                found.update(name for name in names if name)
            elif isinstance(part, ast.Expr) and isinstance(part.value, ast.Call):
                function = part.value.func
                name = _self_attribute(function.value) if isinstance(function, ast.Attribute) else None
                if name is None or not isinstance(function, ast.Attribute) or function.attr not in _MUTATORS:
                    return False
                found.add(name)
            elif not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)):
                return False
        return True

    return frozenset(found) if only_stores(node.body) else frozenset()


def _self_attribute(node: ast.expr) -> str | None:
    if isinstance(node, ast.Subscript):
        node = node.value
    match node:
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return name
    return None
