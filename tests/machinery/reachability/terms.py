"""Data structures for the facts of a file.

A term is a nested tuple that stands for an expression: `("name", "keel.services.Services")`, `("attr", term, "cache")`,
`("call", term, arguments)`, `("inst", annotation)` and so on; None is an unknown expression. `types`
evaluates terms once all files are read.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

Term = tuple[Any, ...] | None


@dataclass(frozen=True, slots=True)
class Reference:
    """A name or an attribute that is read; it counts once all guards (called methods) are reached."""

    term: tuple[Any, ...]
    guards: tuple[tuple[Any, ...], ...] = ()


@dataclass(slots=True)
class Definition:
    """A module's body, a function, a class, a method, a field of a class, or a constant of a module."""

    name: str
    kind: str
    line: int = 0
    end: int = 0
    owner: str = ""
    references: list[Reference] = field(default_factory=list)
    decorators: tuple[str, ...] = ()
    registered_by: tuple[Term, ...] = ()
    returns: Term = None
    value: Term = None
    annotation: Term = None
    bases: tuple[Term, ...] = ()
    stores: frozenset[str] = frozenset()
    slots: dict[str, list[Term]] = field(default_factory=dict)
    keys: tuple[str, ...] = ()


@dataclass(slots=True)
class Module:
    """The definitions of one file by qualified name, and its imports: local name to full name."""

    name: str
    package: str
    definitions: dict[str, Definition] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)


def imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Return the full names of an import."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [f"{node.module}.{alias.name}" for alias in node.names]
