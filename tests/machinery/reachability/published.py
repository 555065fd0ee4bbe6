"""The names that an owner may import from `keel`, and uses that the check cannot see."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import TYPE_CHECKING

from tests.machinery.rendering import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DATA = ROOT / "tests" / "data" / "reachability"
_IMPORT = re.compile(r"^from (keel(?:\.\w+)*) import (?:\(([^)]*)\)|(.+))$", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
#: `keel.db.models.Base`, or `.Timestamps` of the same module; a signature or parameters may follow.
_NAME = re.compile(r"(keel(?:\.\w+)*|)\.(\w+)(?:[\[(:=].*)?")


def published(project: Path) -> list[str]:
    """Return the qualified names in the tables of keel/README.md and of the feature pages."""
    pages = [project / "keel" / "README.md", *(project / "keel" / "docs" / "features").glob("*.md")]
    listed = {name for page in pages for name in _listed(page.read_text(encoding="utf-8"))}
    return sorted({*listed, *_in_templates(project)})


def excused() -> frozenset[str]:
    """Return names that are used although nothing in the project shows it."""
    return frozenset(line.split(maxsplit=1)[0] for line in _lines("excused.txt"))


@cache
def _lines(name: str) -> tuple[str, ...]:
    lines = (_DATA / name).read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def _listed(text: str) -> Iterator[str]:
    """Yield names in import statements, and in the first cells of tables."""
    for module, several, one in _IMPORT.findall(text):
        yield from (f"{module}.{name}" for name in re.findall(r"\w+", several or one))
    for line in text.splitlines():
        if not line.startswith("| `keel."):
            continue
        module = ""
        for code in _CODE.findall(line.split(" | ")[0]):
            if name := _NAME.fullmatch(code):
                module = name[1] or module
                yield f"{module}.{name[2]}"


def _in_templates(project: Path) -> Iterator[str]:
    """Yield methods and fields of a package's classes that its code templates use."""
    for folder in (project / "keel").rglob("templates"):
        text = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.mako")))
        words = set(re.findall(r"\w+", text))
        for path in folder.parent.glob("*.py") if words else ():
            module = ".".join(path.relative_to(project).with_suffix("").parts)
            classes = [
                node
                for node in ast.parse(path.read_text(encoding="utf-8")).body
                if isinstance(node, ast.ClassDef)
            ]
            for node in classes:
                named = (name for item in node.body if (name := _name(item)) in words)
                yield from (f"{module}.{node.name}.{name}" for name in named)


def _name(member: ast.stmt) -> str:
    """Return the name of a method or of an annotated field, else an empty string."""
    if isinstance(member, ast.FunctionDef):
        return member.name
    if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
        return member.target.id
    return ""
