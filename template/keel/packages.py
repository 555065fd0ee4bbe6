"""What the packages of `app/` offer, found by the names of their modules.

A package needs no registration: `app/books/router.py` with a `router` is enough. Packages may be nested.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, Protocol

from fastapi import FastAPI

WINGS = ("keel", "app")
"""The platform and what is built on it."""

HOOKS = {
    "router": "`router`, an APIRouter below /api/v1; `SCOPES`, if callers need any: scope to description",
    "events": "`router`, an APIRouter of streams below /api/v1",
    "models": "tables, for migrations",
    "settings": "subclasses of `keel.settings.Settings`",
    "commands": "`commands`, a Typer application that the command line has under the package's name",
    "seed": "`seed(app, count)`, an asynchronous iterator that adds demonstration rows one by one",
    "account_data": "`account_data(services)`, which deletes or transfers what an account owns",
    "exports": "`exporters(services)`: name to exporter",
    "grpc": "`add_services(app, server)`, which adds servicers and returns their names",
    "plugin": "`install(app)`, for what no other module does",
}
"""The modules that are looked for, and what each holds."""

_ATTRIBUTES = {
    "router": "router",
    "events": "router",
    "commands": "commands",
    "seed": "seed",
    "account_data": "account_data",
    "exports": "exporters",
    "grpc": "add_services",
    "plugin": "install",
}


class Feature(Protocol):
    """A package of `keel/` that was chosen, or its module `plugin`."""

    __name__: str

    def install(self, app: FastAPI) -> None:
        """Add routers, readiness checks, or a shared implementation of one of the ports."""


class PackageError(Exception):
    """A package of the application is not what it has to be; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package and those of its modules that are looked for."""

    name: str
    """Its full name, such as `app.books`."""

    offers: tuple[str, ...]

    @property
    def short_name(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(".")[2]

    def load(self, hook: str) -> ModuleType | None:
        """Import a module of the package, if it has one of that name.

        Raises:
            PackageError: the module lacks what its name promises.
        """
        if hook not in self.offers:
            return None
        module = import_module(f"{self.name}.{hook}")
        attribute = _ATTRIBUTES.get(hook)
        if attribute is not None and not hasattr(module, attribute):
            raise PackageError(f"{module.__name__} has no `{attribute}`. It is found by its name: {HOOKS[hook]}.")
        return module


def load_each(packages: Iterable[Package], hook: str) -> Iterator[tuple[Package, Any]]:
    """Import the modules of that name, of all packages that have one."""
    for package in packages:
        if module := package.load(hook):
            yield package, module


def find_packages(root: str) -> list[Package]:
    """Return the packages below a root package that offer anything, in the order of their names.

    Raises:
        PackageError: a package offers nothing, or has a module whose name is almost one that is looked for.
    """
    found: list[Package] = []
    for name in _subpackages(root):
        below = _find(name)
        if not below:
            raise PackageError(
                f"{name} offers nothing: none of {', '.join(HOOKS)}. Put helpers that are no package of their own into "
                f"a module, such as {name}.py, or into the package that uses them."
            )
        found += below
    return found


def find_package(name: str) -> Package:
    """Return a package and what it offers."""
    modules = {module.name for module in iter_modules([*_path(name)])}
    return Package(name, tuple(hook for hook in HOOKS if hook in modules))


def _find(name: str) -> list[Package]:
    modules = {module.name for module in iter_modules([*_path(name)])}
    package = find_package(name)
    for module in sorted(modules - HOOKS.keys()):
        if close := get_close_matches(module, HOOKS, n=1, cutoff=0.85):
            raise PackageError(f"{name}.{module} is not looked for; rename it to {close[0]} ({HOOKS[close[0]]}).")
    if package.offers:
        return [package]
    return [found for child in _subpackages(name) for found in _find(child)]


def _subpackages(name: str) -> list[str]:
    return sorted(f"{name}.{module.name}" for module in iter_modules([*_path(name)]) if module.ispkg)


def _path(name: str) -> Iterable[str]:
    spec = find_spec(name)
    return (spec.submodule_search_locations if spec else None) or ()
