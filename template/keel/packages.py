"""What the packages of `app/` offer, found by the names of their modules.

A package needs no registration: `app/books/router.py` with a `router` is enough. Packages may be nested.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI

WINGS = ("keel", "app")
"""The platform and what is built on it."""

HOOKS = {
    "router": "`router`, an APIRouter below /api/v1; `SCOPES`, if callers need any: scope to description",
    "events": "`router`, an APIRouter of streams below /api/v1",
    "models": "tables, for migrations",
    "settings": "subclasses of `keel.settings.Settings`",
    "commands": "`commands`, a Typer application: a group of commands with the package's name",
    "seed": "`seed(app, count)`, an asynchronous iterator that adds demonstration rows one by one",
    "account_data": "`account_data(services)`, which deletes or transfers what an account owns",
    "exports": "`exporters(services)`: name to exporter",
    "gauges": "`read(app)`, an asynchronous function: gauge to value; read while telemetry is exported",
    "grpc": "`add_services(app, server)`, which adds servicers and returns their names",
    "plugin": "`install(app)`, for what no other module does",
}
"""The modules that are looked for, and what each holds."""


class Install(Protocol):
    """Adds something to the application, before it starts."""

    def __call__(self, app: FastAPI) -> None:
        """Install."""
        ...


class Seed(Protocol):
    """Adds demonstration rows, yielding after each."""

    def __call__(self, app: FastAPI, count: int) -> AsyncIterator[None]:
        """Add up to `count` rows."""
        ...


class AddServices(Protocol):
    """Adds servicers to a gRPC server; returns the full names of their services."""

    def __call__(self, app: FastAPI, server: Any) -> Iterable[str]:
        """Add the servicers."""
        ...


class OfServices(Protocol):
    """Makes what a package offers, given the services of the application."""

    def __call__(self, services: Any) -> Any:
        """Make it."""
        ...


_ATTRIBUTES: dict[str, tuple[str, type]] = {
    "router": ("router", APIRouter),
    "events": ("router", APIRouter),
    "seed": ("seed", Seed),
    "account_data": ("account_data", OfServices),
    "exports": ("exporters", OfServices),
    "gauges": ("read", OfServices),
    "grpc": ("add_services", AddServices),
    "plugin": ("install", Install),
}
"""The attribute that a module must have, and its class or the protocol that it must fulfil."""


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
        if attribute_and_kind := _expected(hook):
            attribute, kind = attribute_and_kind
            if fault := _fault(getattr(module, attribute, None), kind):
                raise PackageError(
                    f"{module.__name__}: `{attribute}` {fault}. The module is found by its name and must hold {HOOKS[hook]}."
                )
        return module


def _expected(hook: str) -> tuple[str, type] | None:
    if hook == "commands":
        from typer import Typer  # the command line alone needs it

        return "commands", Typer
    return _ATTRIBUTES.get(hook)


def _fault(value: object, kind: type) -> str | None:
    """Return why a value is not of a class, or cannot be called as a protocol says."""
    if value is None:
        return "is missing"
    if not getattr(kind, "_is_protocol", False):
        return None if isinstance(value, kind) else f"is a {type(value).__name__}, not a {kind.__name__}"
    if not callable(value):
        return "is not callable"
    parameters = list(signature(kind.__call__).parameters)[1:]
    try:
        signature(value).bind(*parameters)
    except TypeError:
        return f"cannot be called with ({', '.join(parameters)})"
    return None


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
