"""The application's packages: discovery, required contents, and clashes."""

import re
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from sqlalchemy.orm import Mapped, mapped_column
from typer.testing import CliRunner

from app.main import create_app
from keel.application import new_app
from keel.db.models import Base
from keel.hooks import PackageError
from keel.ops import cli
from keel.packages import COMMANDS, Package, check_commands, find_packages, load_each
from keel.web.paths import check_routes

ROUTER = "from fastapi import APIRouter\n\nrouter = APIRouter()\n"
_numbers = count()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root package with its own name, whose modules no other test imports."""
    folder = tmp_path / f"root_{next(_numbers)}"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def write(root: Path, files: Mapping[str, str]) -> None:
    """Write modules, with an empty `__init__.py` in each folder."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for folder in path.relative_to(root).parents:
            (root / folder / "__init__.py").touch()


def refused(root: Path, hook: str) -> str:
    """Return the error of loading the modules of a name."""
    with pytest.raises(PackageError) as caught:
        list(load_each(find_packages(root.name), hook))
    return str(caught.value)


def test_packages_are_found_at_any_depth(root: Path) -> None:
    """Modules are discovered by name, in alphabetical order; a package of packages may have none."""
    write(root, {"shop/books/router.py": ROUTER, "shop/books/notes.py": "", "boats/models.py": ""})

    assert find_packages(root.name) == [
        Package(f"{root.name}.boats", ("models",)),
        Package(f"{root.name}.shop.books", ("router",)),
    ]


def test_package_without_known_modules_is_refused(root: Path) -> None:
    """The message names the package and says where helpers belong."""
    write(root, {"helpers/words.py": ""})

    with pytest.raises(PackageError, match=rf"{root.name}\.helpers has none of the modules .*{root.name}\.helpers\.py"):
        find_packages(root.name)


@pytest.mark.parametrize(("module", "meant"), [("routers", "router"), ("model", "models"), ("setting", "settings")])
def test_a_near_miss_of_a_name_is_refused(root: Path, module: str, meant: str) -> None:
    """The message suggests the right name."""
    write(root, {f"books/{module}.py": "", "books/seed.py": ""})

    with pytest.raises(PackageError, match=rf"books\.{module} is not a hook; rename it to {meant} \("):
        find_packages(root.name)


@pytest.mark.parametrize(
    ("hook", "code", "fault"),
    [
        ("router", "", "`router` is missing"),
        ("router", "router = []", "`router` is a list, not a APIRouter"),
        ("events", "router = 1", "`router` is a int, not a APIRouter"),
        ("commands", "commands = print", "`commands` is a builtin_function_or_method, not a Typer"),
        ("seed", "seed = 3", "`seed` is not callable"),
        ("seed", "def seed(app): ...", r"`seed` cannot be called with \(app, count\)"),
        ("plugin", "def install(): ...", r"`install` cannot be called with \(app\)"),
        ("grpc", "def add_services(app): ...", r"`add_services` cannot be called with \(app, server\)"),
    ],
)
def test_module_without_its_hook_is_refused(root: Path, hook: str, code: str, fault: str) -> None:
    """The message names the module, the problem, and what it must contain."""
    write(root, {f"books/{hook}.py": code})

    message = refused(root, hook)

    assert message.startswith(f"{root.name}.books.{hook}: ")
    assert re.search(fault, message)
    assert "is found by its name and must provide `" in message


def test_optional_parameters_are_fine(root: Path) -> None:
    """A hook with further optional parameters is accepted."""
    write(root, {"books/seed.py": "async def seed(application, number=3, *, more=False):\n    yield\n"})

    assert [package.short_name for package, _ in load_each(find_packages(root.name), "seed")] == ["books"]


def test_the_command_lists_the_packages(app: FastAPI) -> None:
    """`python -m app packages` lists each package and its modules."""
    commands = cli.build(create_app, "app")

    output = CliRunner().invoke(commands, ["packages"], env={"COLUMNS": "200"}).output

    for package in cli.all_packages("app"):
        assert any(package.name in line and ", ".join(package.offers) in line for line in output.splitlines())


def _serve(path: str, name: str) -> APIRouter:
    async def endpoint() -> None: ...

    endpoint.__module__, endpoint.__name__ = name.rsplit(".", 1)
    router = APIRouter()
    router.add_api_route(path, endpoint, methods=["GET", "POST"])
    return router


@pytest.mark.parametrize("path", ["/tasks", "/tasks/{number}", "/tasks/{id}/events"])
def test_two_functions_of_one_route_are_refused(path: str) -> None:
    """The message names method, path and both functions; names of path parameters make no difference."""
    app = new_app()
    app.include_router(_serve("/tasks", "keel.work.read"), prefix="/api/v1")
    app.include_router(_serve("/tasks/{id}", "keel.work.read"), prefix="/api/v1")
    app.include_router(_serve("/tasks/{task}/events", "keel.work.read"), prefix="/api/v1")
    check_routes(app)
    app.include_router(_serve(path, "app.work.read"), prefix="/api/v1")

    with pytest.raises(
        PackageError, match=r"Two functions serve (GET|POST) /api/v1/tasks.*: keel\.work\.read and app\.work\.r"
    ):
        check_routes(app)


@pytest.mark.parametrize("path", ["/ships/{id}/events", "/crew/users", "/crew/tasks", "/tasks2", "/tasks/{id}/more"])
def test_other_routes_with_such_words_are_fine(path: str) -> None:
    """Only whole paths clash."""
    app = new_app()
    for taken in ("/tasks", "/tasks/{id}", "/tasks/{id}/events", "/users", "/events"):
        app.include_router(_serve(taken, "keel.work.read"))
    app.include_router(_serve(path, "app.work.read"))

    check_routes(app)


async def test_late_route_clash_prevents_startup() -> None:
    """Routes added after `create_app` are checked before anything starts or migrates."""
    app = create_app()
    app.add_api_route("/healthz", lambda: None)

    with pytest.raises(PackageError, match=r"Two functions serve GET /healthz: keel\.web\.health\.liveness and "):
        async with app.router.lifespan_context(app):
            pytest.fail("it has started")


def test_two_models_of_one_table_are_refused() -> None:
    """The message names the table and both models."""
    table = f"clash_{next(_numbers)}"

    def define(module: str) -> None:
        members: dict[str, Any] = {
            "__module__": module,
            "__tablename__": table,
            "__annotations__": {"id": Mapped[int]},
            "id": mapped_column(primary_key=True),
        }
        type("Task", (Base,), members)

    define("keel.work.models")
    try:
        expected = rf"the table `{table}`: keel\.work\.models\.Task and app\.tasks\.models\.Task\. Give yours another"
        with pytest.raises(PackageError, match=expected):
            define("app.tasks.models")
    finally:
        Base.metadata.remove(Base.metadata.tables[table])


@pytest.mark.parametrize("names", [("app.seed",), ("keel.books", "app.books"), ("app.one.books", "app.two.books")])
def test_two_groups_of_commands_with_one_name_are_refused(names: tuple[str, ...]) -> None:
    """The message names the command and both packages; a package without commands may have the name."""
    check_commands([Package(name, ("router", "models")) for name in names])

    with pytest.raises(PackageError, match=rf"`python -m app \w+` would be both .* and {names[-1]}"):
        check_commands([Package(name, ("router", "commands")) for name in names])


def test_every_command_is_reserved(app: FastAPI) -> None:
    """Packages are checked against all of the platform's own commands."""
    commands = cli.build(create_app, "app")
    offered = {command.name or getattr(command.callback, "__name__", "") for command in commands.registered_commands}

    assert offered <= set(COMMANDS)
