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
    """Leave a test module of an example out if it imports a module of the example that is not there."""
    if collection_path.suffix != ".py" or not collection_path.is_relative_to(ROOT / "tests" / EXAMPLES):
        return None
    for name in imported(collection_path.read_text(encoding="utf-8")):
        if name.startswith(PREFIXES) and not exists(name):
            left_out.append(f"{collection_path.relative_to(ROOT)} is left out: there is no {name}.")
            return True
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was left out; a warning would be an error here."""
    for line in left_out:
        terminalreporter.write_line(line)


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
