"""Tests that a feature adds to an example, where the example was deleted or reshaped by hand: they are left out."""

import ast
from importlib.util import find_spec
from pathlib import Path

import pytest

from keel.packages import EXAMPLES

PREFIXES = tuple(f"{root}.{EXAMPLES}." for root in ("app", "tests"))

ROOT = Path(__file__).parents[2]

left_out: list[str] = []
"""A sentence for each module of tests that is left out."""


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave a test module of an example out if it needs a module of an example that is not there."""
    if collection_path.suffix != ".py" or not collection_path.is_relative_to(ROOT / "tests" / EXAMPLES):
        return None
    if name := lacking(collection_path.read_text(encoding="utf-8")):
        left_out.append(f"{collection_path.relative_to(ROOT)} is left out: there is no {name}.")
        return True
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was left out; a warning would be an error here."""
    for line in left_out:
        terminalreporter.write_line(line)


def lacking(code: str, prefixes: tuple[str, ...] = PREFIXES) -> str | None:
    """Return a module that some code imports, itself or by what it imports, and that is not there; None if none is.

    So a test that calls another example's API says that it needs it: it imports something of that example or of its tests.
    """
    waiting, seen = [code], set[str]()
    while waiting:
        for name in sorted(imported(waiting.pop()) - seen):
            seen.add(name)
            if name.startswith(prefixes):
                if not exists(name):
                    return name
                if (spec := find_spec(name)) and spec.origin and spec.has_location:
                    waiting.append(Path(spec.origin).read_text(encoding="utf-8"))
    return None


def imported(code: str) -> set[str]:
    """Return the modules that some code imports."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def exists(module: str) -> bool:
    """Whether a module can be found."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
