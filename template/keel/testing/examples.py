"""Skips tests that a feature adds to an example if the example was deleted or changed by hand."""

import ast
from importlib.util import find_spec
from pathlib import Path

import pytest

from keel.packages import EXAMPLES

PREFIXES = tuple(f"{root}.{EXAMPLES}." for root in ("app", "tests"))

ROOT = Path(__file__).parents[2]

left_out: list[str] = []
"""A sentence for each skipped test module."""


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Skip a test module of an example if it needs an example's module that does not exist."""
    if collection_path.suffix != ".py" or not collection_path.is_relative_to(ROOT / "tests" / EXAMPLES):
        return None
    if name := lacking(collection_path.read_text(encoding="utf-8")):
        left_out.append(f"{collection_path.relative_to(ROOT)} is skipped: there is no {name}.")
        return True
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the skipped modules; a warning would be an error here."""
    for line in left_out:
        terminalreporter.write_line(line)


def lacking(code: str, prefixes: tuple[str, ...] = PREFIXES) -> str | None:
    """Return a missing module that some code imports, directly or indirectly; None if nothing is missing.

    So a test that calls another example's API must declare this by importing from that example or its tests.
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
