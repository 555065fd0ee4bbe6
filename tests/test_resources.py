"""What owners build on the platform: a book as the guide shows it, and a package that builds on that one."""

from __future__ import annotations

import ast
import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.machinery.databases import empty_database
from tests.machinery.examination import program, suite_environment
from tests.machinery.questions import DATABASE, Questions
from tests.machinery.rendering import ROOT, render

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.machinery.resources import Resources
    from tests.machinery.warm import WarmProcess

_DATA = ROOT / "tests" / "data"
_BOOK, _LENDING = _DATA / "book", _DATA / "lending"
_DATABASES = Questions.load(ROOT / "copier.yml").databases.values
_LISTING = re.compile(r"^`((?:app|tests)/[\w/.]+)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(r"^\| Import \|.*\n\|[-|]+\n((?:\|.*\n)+)", re.MULTILINE)
_CELL = re.compile(r"^\| (`keel.*?) \|", re.MULTILINE)
_NAME = re.compile(r"`((?:keel)?\.[\w.]+\*?)")


def test_the_guide_shows_the_book() -> None:
    """The guide's listings are the tested files, all of them."""
    guide = (ROOT / "template/keel/docs/adding-a-resource.md").read_text(encoding="utf-8")
    listings = dict(_LISTING.findall(guide))
    assert len(listings) == guide.count("```python")
    files = {path.relative_to(_BOOK).as_posix(): path for path in _BOOK.rglob("*.py")}
    assert listings == {name: path.read_text(encoding="utf-8") for name, path in files.items()}


def test_resources_are_short() -> None:
    """A book takes at most 270 lines; no module of an example more than 250."""
    assert sum(map(_lines, (_BOOK / "app").rglob("*.py"))) <= 270
    modules = (ROOT / "template/app/examples/notes").rglob("*.py")
    assert [path for path in modules if "stubs" not in path.parts and _lines(path) > 250] == []


@pytest.mark.parametrize("database", _DATABASES)
def test_owners_packages_work(
    resources: Resources, warm: WarmProcess, template: Path, tmp_path: Path, database: str
) -> None:
    """Their code is clean, they may join each other's tables, models are found at any depth, and their tests pass."""
    project = render(template, tmp_path / "project", {"preset": "minimal", DATABASE: database})
    for data in (_BOOK, _LENDING):
        shutil.copytree(data, project, dirs_exist_ok=True)
    assert program(project, resources, "ruff", "format", "--check", "--no-cache", "app", "tests") == []
    assert program(project, resources, "ruff", "check", "--quiet", "--no-cache") == []
    assert program(project, resources, "ty", "check", "--quiet", "--python", str(resources.python)) == []
    commands = (
        "importlinter.cli:lint_imports_command --no-cache",
        "alembic upgrade head",
        "alembic revision --autogenerate --message books",
        "alembic upgrade head",
        "alembic check",
        "pytest:console_main -q --assert=plain -p no:cacheprovider tests/books tests/lending",
    )
    with empty_database(database, resources.server, tmp_path) as url:
        environment = {
            "DATABASE_URL": url,
            "ENV_FILE": "",
            "PATH": f"{resources.python.parent}:{os.defpath}",
            **suite_environment(resources, database),
        }
        for command in commands:
            outcome = warm.run(*command.split(), directory=project, environment=environment)
            assert outcome.status == 0, f"{command}:\n{outcome.tail()}"


def test_owners_import_the_public_api() -> None:
    """The examples, the book and the owners' packages import only the public API of keel."""
    folders = [
        ROOT / "template/app/examples",
        *(_DATA / name / "app" for name in ("book", "lending", "owner")),
    ]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    used = {(path.relative_to(ROOT).as_posix(), name) for path in files for name in _imported(path)}
    published = set(_published())
    assert len(published) > 150
    assert sorted((path, name) for path, name in used if name not in published) == []


def _lines(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("\n")


def _published() -> Iterator[str]:
    """The names in the tables `| Import | What it is |` of keel/README.md and the features' pages, whatever is chosen.

    They stand in the first column; a dot in front stands for the module before.
    """
    pages = [ROOT / "template/keel/README.md", *(ROOT / "template/keel/docs/features").glob("*.md*")]
    for page in pages:
        for table in _TABLE.findall(page.read_text(encoding="utf-8")):
            module = ""
            for name in map(str, _NAME.findall("\n".join(_CELL.findall(table)))):
                if not name.startswith("."):
                    module = name.rpartition(".")[0]
                yield name if not name.startswith(".") else f"{module}{name}"


def _imported(path: Path) -> Iterator[str]:
    """The full names that a file uses of keel; of modules, what is taken from them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "keel":
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if (ROOT / "template" / name.replace(".", "/")).with_suffix(".py").is_file():
                    modules[alias.asname or alias.name] = name
                else:
                    yield name
        assert not (isinstance(node, ast.Import) and any(a.name.startswith("keel") for a in node.names))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            yield f"{modules[node.value.id]}.{node.attr}"
