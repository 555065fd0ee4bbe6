"""No project uses a private name of a library, unless a reason is given on the line."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from tests.machinery.private_names import find_private_names
from tests.machinery.rendering import render

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.machinery.resources import Resources

#: Folders that are not examined: tests may look inside, stubs are generated.
_SKIPPED = {"tests", "testing", "stubs"}


def code(project: Path) -> Iterator[Path]:
    """The code of a project that is examined."""
    for root in ("keel", "app", "migrations", "deploy"):
        for path in sorted((project / root).rglob("*.py")):
            if not _SKIPPED & set(path.relative_to(project).parts):
                yield path


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_projects_use_public_names(resources: Resources, tmp_path: Path, database: str) -> None:
    """The project with all features has every file."""
    project = render(resources.template, tmp_path / "project", {"preset": "everything", "database": database})
    result = find_private_names(project, code(project), resources.python)

    assert [str(use) for use in result.unexplained] == []
    assert [str(use) for use in result.stale] == [], "a reason without a private name"


_LIBRARY = """
    class Base:
        def _hook(self):
            self._state = 1
"""

_USES = {
    "from lib import _x": "lib._x",
    "import lib._compat": "lib._compat",
    "import lib\nlib._x()": "_x",
    "def f(x):\n    return x._x": "_x",
    "def f(x):\n    x._x = 1": "_x",
    "def f(x):\n    return getattr(x, '_x')": "_x",
    "class A:\n    def f(self):\n        return self._state": "_state",
    "import lib\nclass A(lib.Base):\n    def f(self):\n        return self._state": "_state",
    "import lib\nclass A(lib.Base):\n    def _hook(self):\n        pass": "_hook",
    "from lib import Base\nclass A(Base):\n    def f(self):\n        super()._hook()": "_hook",
    "from lib import Base\nclass B(Base):\n    pass\nclass A(B):\n    def _hook(self):\n        pass": "_hook",
}

_OWN = (
    "class A:\n    def __init__(self):\n        self._x = 1\n    def f(self, other):\n        self._x + other._x",
    "class A:\n    _x: int\nclass B(A):\n    def f(self):\n        return self._x, super()._x",
    "from keel.other import _x",
    "def f(x):\n    return x.__dict__, x.__class__",
    "for _, _x in {}:\n    pass",
    "def f(row):\n    return row._mapping, row._asdict()",
    "import lib\nclass A(lib.Base):\n    def _mine(self):\n        return self._mine()",
)


@pytest.fixture
def library(tmp_path: Path, resources: Resources) -> Path:
    """An interpreter that knows a library."""
    (tmp_path / "lib.py").write_text(dedent(_LIBRARY), encoding="utf-8")
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nPYTHONPATH="{tmp_path}" exec "{resources.python}" "$@"\n', encoding="utf-8"
    )
    python.chmod(0o755)
    return python


def names(tmp_path: Path, text: str, python: Path) -> list[str]:
    """The private names that are found in a module."""
    module = tmp_path / "keel" / "module.py"
    module.parent.mkdir()
    module.write_text(text, encoding="utf-8")
    return [use.name for use in find_private_names(tmp_path, [module], python).unexplained]


@pytest.mark.parametrize("text", _USES)
def test_uses_are_found(tmp_path: Path, library: Path, text: str) -> None:
    """Imports, attributes, names in strings, inherited names and overrides."""
    assert names(tmp_path, text, library) == [_USES[text]]


@pytest.mark.parametrize("text", _OWN)
def test_own_names_are_not(tmp_path: Path, library: Path, text: str) -> None:
    """What the project defines may be private."""
    assert names(tmp_path, text, library) == []


def test_reasons(tmp_path: Path) -> None:
    """A reason on the line excuses a use; one elsewhere is stale."""
    module = tmp_path / "module.py"
    module.write_text(
        "def f(x):\n    return x._a  # private: the library has no other way\n"
        "y = 1  # private: nothing private is here\n"
        "def g(x):\n    return x._b  # private: short\n",
        encoding="utf-8",
    )
    result = find_private_names(tmp_path, [module])

    assert [use.name for use in result.explained] == ["_a"]
    assert [use.line for use in result.stale] == [3]
    assert [use.name for use in result.unexplained] == ["_b"]
