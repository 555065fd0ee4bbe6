"""A file's closure changes with whatever its types depend on, and with nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.machinery import closures

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "pyproject.toml": '[project]\nname = "harbour"\nrequires-python = ">=3.11"\n[tool.ty.rules]\nall = "error"\n',
    "app/__init__.py": "",
    "app/used.py": "VALUE = 1\n",
    "app/typed.pyi": "VALUE: int\n",
    "app/deep/__init__.py": "",
    "app/deep/relative.py": "from ..used import VALUE\n",
    "app/later.py": "def late() -> None:\n    import app.deep.relative\n",
    "app/types.py": "if True:\n    from app import later\n",
    "app/alone.py": "import json\n",
    "app/stub.py": "from app.typed import VALUE\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Modules that import each other in every way."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text", "concerned"),
    [
        ("app/used.py", "VALUE = 2\n", {"used", "deep/relative", "later", "types"}),
        ("app/later.py", "", {"later", "types"}),
        ("app/typed.pyi", "VALUE: str\n", {"typed", "stub"}),
        ("app/deep/__init__.py", "import app.alone\n", {"deep/__init__", "later", "types"}),
        ("app/used/__init__.py", "", {"deep/relative", "later", "types"}),
        ("pyproject.toml", FILES["pyproject.toml"].replace("harbour", "port"), set()),
    ],
)
def test_only_what_depends_on_a_file_changes(
    project: Path, name: str, text: str, concerned: set[str]
) -> None:
    """Files that import it in functions, for types, relatively, or through another; a new one, too."""
    before = closures.digests(project)
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text(text, encoding="utf-8")

    after = closures.digests(project)

    changed = {path for path in before if before[path] != after[path]}
    assert {path.removeprefix("app/").rpartition(".")[0] for path in changed} == concerned


@pytest.mark.parametrize(("old", "new"), [('"error"', '"warn"'), (">=3.11", ">=3.12")])
def test_rules_concern_every_file(project: Path, old: str, new: str) -> None:
    """So does the oldest version of Python."""
    before = closures.digests(project)
    (project / "pyproject.toml").write_text(FILES["pyproject.toml"].replace(old, new), encoding="utf-8")

    after = closures.digests(project)

    assert not {path for path in before if before[path] == after[path]}


def test_what_passed_is_not_new(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Another project with the same files has nothing to check, until one of them changes."""
    store = tmp_path_factory.mktemp("passed") / "types"
    passed = closures.Passed(store, project)
    new, others = passed.split(left={"app/alone.py"})
    assert others == ["app/alone.py"]
    passed.add(new)

    assert closures.Passed(store, project).split()[0] == ["app/alone.py"]

    (project / "app/typed.pyi").write_text("VALUE: str\n", encoding="utf-8")
    assert closures.Passed(store, project).split({"app/alone.py"})[0] == ["app/stub.py", "app/typed.pyi"]
