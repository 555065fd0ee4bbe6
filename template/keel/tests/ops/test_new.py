"""New resources: valid and invalid arguments, and no half-written files."""

import ast
import keyword
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from keel.about import ROOT
from keel.ops import cli
from keel.ops.new import names, writing

New = Callable[..., Result]

FIELDS = ("title:str", "price:decimal", "status:enum(available,lent)", "published:date?")


@pytest.fixture
def project(app: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write into an empty project instead of this one."""
    for module in (names, writing):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    for folder in ("app", "tests", "keel/docs"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("pyproject.toml", "keel/docs/reserved-names.md"):
        shutil.copy2(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def new(app: FastAPI, project: Path) -> New:
    """Return a function that runs the command on the shared application."""
    commands = cli.build(lambda: app, "app")
    return lambda *arguments: CliRunner().invoke(commands, ["new", *arguments], catch_exceptions=False)


def written(project: Path) -> list[str]:
    """Return the project's new files."""
    found = (path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file())
    return sorted(name for name in found if name not in {"pyproject.toml", "keel/docs/reserved-names.md"})


def test_a_package_and_its_tests_are_written(new: New, project: Path) -> None:
    """Every module exists, and the next step is shown unless it was done."""
    result = new("library_specimen", *FIELDS)

    assert result.exit_code == 0, result.output
    assert "alembic revision" in result.output
    modules = ("__init__", "account_data", "models", "repository", "router", "schemas", "service")
    tests = [f"tests/library_specimens/{name}.py" for name in ("__init__", "test_router")]
    assert written(project) == [*(f"app/library_specimens/{name}.py" for name in modules), *tests]
    assert 'prefix="/library-specimens"' in (project / "app/library_specimens/router.py").read_text(encoding="utf-8")


def test_dry_run(new: New, project: Path) -> None:
    """Everything is printed, and nothing is written."""
    result = new("specimen", *FIELDS, "--dry-run")

    assert "# app/specimens/models.py" in result.output
    assert "class SpecimenStatus(StrEnum):" in result.output
    assert written(project) == []


REFUSED = {
    ("for", "title:str"): "keyword",
    ("Specimen", "title:str"): "lower case",
    ("b" * 31, "title:str"): "too long",
    ("note", "title:str"): "belongs to Keel",
    ("task", "title:str"): "belongs to Keel",
    ("auth_key", "title:str"): "belongs to Keel",
    ("page", "title:str"): "two Page",
    ("model", "title:str"): "another --plural",
    ("specimen", "title"): "not a field",
    ("specimen", "title:string"): "no type `string`",
    ("specimen", "title:str:big"): "no `:big`",
    ("specimen", "class:str"): "keyword",
    ("specimen", "title:str", "title:int"): "twice",
    ("specimen", "owner_id:str"): "twice",
    ("specimen", "date:date"): "name of a type",
    ("specimen", "count:int"): "SQLAlchemy's rows",
    ("specimen", "metadata:json"): "SQLAlchemy's models",
    ("specimen", "copy:str"): "Pydantic's models",
    ("specimen", "limit:int:index"): "query parameter",
    ("specimen", "title:str(0)"): "lengths",
    ("specimen", "title:str(5,2)"): "lengths",
    ("specimen", "title:str(x)"): "numbers",
    ("specimen", "price:decimal(20,2)"): "15 digits",
    ("specimen", "pages:int(3)"): "nothing in brackets",
    ("specimen", "status:enum(one)"): "two members",
    ("specimen", "status:enum(One,two)"): "lower-case",
    ("specimen", "body:text:unique"): "too long for an index",
    ("specimen", "done:bool:unique"): "can't be unique",
    ("specimen", "author:ref(no_such_table)"): "no table `no_such_table`",
    ("specimen", "author:ref"): "name one table",
    ("specimen", "sequel:ref(specimens)"): "nothing to refer to",
}
"""Arguments, and what the message names."""


@pytest.mark.parametrize("arguments", REFUSED)
def test_invalid_arguments_are_refused(app: FastAPI, project: Path, arguments: tuple[str, ...]) -> None:
    """The message says why."""
    with pytest.raises(names.NewError) as refusal:
        writing.describe(app, arguments[0], arguments[1:])

    assert REFUSED[arguments] in str(refusal.value)
    assert str(refusal.value).endswith(".")


def test_invalid_options_are_refused(app: FastAPI, project: Path) -> None:
    """Options are checked like fields."""
    with pytest.raises(names.NewError, match="plural"):
        writing.describe(app, "sheep", ["title:str"], plural="sheep")
    with pytest.raises(names.NewError, match="no table `no_such_table`"):
        writing.describe(app, "specimen", ["title:str"], parent="no_such_table")


def test_a_refusal_is_one_line(new: New, project: Path) -> None:
    """There is no traceback, and nothing is written."""
    result = new("for", "title:str")

    assert result.exit_code == 1
    assert result.output == "`for` is a Python keyword; choose another name. Nothing was written.\n"
    assert written(project) == []


@pytest.mark.parametrize("there", ["app/specimens/notes.txt", "app/specimens.py", "tests/specimens/test_more.py"])
def test_existing_files_are_kept(app: FastAPI, project: Path, there: str) -> None:
    """An existing folder or module of that name is not touched."""
    (project / there).parent.mkdir(exist_ok=True)
    (project / there).write_text("mine", encoding="utf-8")

    with pytest.raises(names.NewError, match="already exists"):
        writing.describe(app, "specimen", FIELDS)

    assert written(project) == [there]


def test_nothing_is_left_if_a_folder_cannot_be_written(new: New, project: Path) -> None:
    """The package is removed again if its tests cannot be written."""
    (project / "tests").rmdir()

    result = new("specimen", *FIELDS)

    assert result.exit_code == 1
    assert written(project) == []
    assert not list(project.glob(".new-*"))


def test_nothing_is_left_if_the_migration_fails(new: New, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package and its tests are removed if the migration cannot be written."""

    def refuse(*_: object) -> None:
        assert (project / "app/specimens/models.py").is_file()
        raise names.NewError("The disk is full.")

    monkeypatch.setattr(writing, "prepare_migration", lambda _: object())
    monkeypatch.setattr(writing, "migrate", refuse)

    result = new("specimen", *FIELDS, "--migrate")

    assert result.exit_code == 1
    assert result.output == "The disk is full. Nothing was written.\n"
    assert written(project) == []


WORDS = [*keyword.kwlist, *keyword.softkwlist, *dir(str), *sorted(names.names_in_templates())]
TYPES = ["str", "str:index", "int:unique?", "decimal", "enum(a,b)", "json?", "date", "bool"]
KNOWN = [
    ("link", {"client": "str"}),
    ("client", {"answer": "str:index", "model": "int:unique?"}),
    ("field", {"field": "str", "decimal": "decimal"}),
    ("b", {"create": "enum(a,b)"}),
    ("list", {"type": "enum(a,b)"}),
]


def drawn() -> Iterator[tuple[str, dict[str, str]]]:
    """Return resources whose names, and fields' names, are words with a meaning somewhere, or letters; always the same."""
    dice = random.Random(7)  # noqa: S311 - the same each time

    def name() -> str:
        if dice.random() < 0.6:
            return dice.choice(WORDS).lower()
        letters = "".join(dice.choices("abcxyz", k=dice.randint(1, 6)))
        return letters + dice.choice(["", "_", "_9", "7"]) + dice.choice(["", "a", "id"])

    for _ in range(20):
        yield name(), {name(): dice.choice(TYPES) for _ in range(dice.randint(1, 4))}


@pytest.mark.parametrize(("name", "fields"), [*KNOWN, *drawn()])
def test_names(app: FastAPI, project: Path, name: str, fields: dict[str, str]) -> None:
    """Names are refused with a reason, or yield modules that compile and define no name twice."""
    try:
        resource = writing.describe(app, name, [f"{field}:{kind}" for field, kind in fields.items()])
    except names.NewError:
        return
    for path, text in writing.fill(resource).items():
        tree = ast.parse(text)
        compile(tree, path.as_posix(), "exec")
        bound = Counter(bindings(tree))
        assert [each for each, count in bound.items() if count > 1] == [], (path, text)


def bindings(tree: ast.Module) -> list[str]:
    """Return the names that a module imports and defines."""
    found: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            found += [alias.asname or alias.name for alias in node.names]
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign):
            found += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return found
