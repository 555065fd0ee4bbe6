"""The packages of `app/`, and their hooks, found by the names of modules.

A package needs no registration: `app/books/router.py` with a `router` is enough. Packages may be nested.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, Protocol

import structlog
from fastapi import FastAPI

from keel.hooks import HOOKS, PackageError, checked

WINGS = ("keel", "app")
"""The platform and the application built on it."""

EXAMPLES = "examples"
"""The folder of a root package with Keel's examples: they may be deleted or changed by hand."""

ADDED = ("account_data", "exports", "grpc", "outbox", "statistics", "tools")
"""Modules that features add to an example whenever they are switched on."""

COMMANDS = (
    "migrate",
    "settings",
    "upgrades",
    "removal",
    "feature-removal",
    "seed",
    "purge",
    "schedule",
    "packages",
    "new",
)
"""The platform's commands of `python -m app`: no package with commands may have such a name."""

log = structlog.get_logger()


class Feature(Protocol):
    """A package of `keel/` that the project includes, or its module `plugin`."""

    __name__: str

    def install(self, app: FastAPI) -> None:
        """Add routers, readiness checks, or a shared implementation of one of the ports."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package and the hooks that it has."""

    name: str
    """Its full name, such as `app.books`."""

    offers: tuple[str, ...]

    @property
    def short_name(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(".")[2]

    def load(self, hook: str) -> ModuleType | None:
        """Import a module of the package, if it has one of that name.

        A module that a feature added to an example is skipped with a warning if the example lacks what it imports.

        Raises:
            PackageError: the module lacks what its name requires.
        """
        if hook not in self.offers:
            return None
        if missing := self.missing(hook):
            log.warning("example_incomplete", skipped=f"{self.name}.{hook}", missing=missing)
            return None
        return checked(hook, import_module(f"{self.name}.{hook}"))

    def missing(self, hook: str) -> str | None:
        """Return the missing module of this example that a feature's addition imports; None if nothing is missing."""
        if hook not in ADDED or hook not in self.offers or self.name.split(".")[1:2] != [EXAMPLES]:
            return None
        try:
            import_module(f"{self.name}.{hook}")
        except ImportError as error:
            if error.name is None or not error.name.startswith(f"{self.name}."):
                raise
            return error.name
        return None


def incomplete_examples(packages: Iterable[Package]) -> Iterator[str]:
    """Yield a sentence for each module that a feature added to an example and that can't be imported."""
    for package in packages:
        for hook in ADDED:
            if missing := package.missing(hook):
                yield (
                    f"{package.name}.{hook} is skipped: the example no longer has {missing}, which it needs. Delete "
                    "it, or omit the examples: copier update --data example=false"
                )


def load_each(packages: Iterable[Package], hook: str) -> Iterator[tuple[Package, Any]]:
    """Import the modules of a name from all packages that have one."""
    for package in packages:
        if module := package.load(hook):
            yield package, module


def find_packages(root: str) -> list[Package]:
    """Return the packages below a root package that have hooks, in the order of their names.

    Raises:
        PackageError: a package has no hook, or a module whose name is almost that of one.
    """
    found: list[Package] = []
    for name in _subpackages(root):
        below = _find(name)
        if not below and name != f"{root}.{EXAMPLES}":
            raise PackageError(
                f"{name} has none of the modules {', '.join(HOOKS)}. Put helpers that need no package of their own "
                f"into a module, such as {name}.py, or into the package that uses them."
            )
        found += below
    return found


def check_commands(packages: Iterable[Package]) -> None:
    """Check that the command groups of packages have distinct names.

    Raises:
        PackageError: two have the same name, or one has that of a platform command; the message names both.
    """
    found = dict.fromkeys(COMMANDS, "keel.ops.cli")
    for package in packages:
        if "commands" in package.offers:
            other = found.setdefault(package.short_name, package.name)
            if other != package.name:
                raise PackageError(
                    f"`python -m app {package.short_name}` would be both {other} and {package.name}. Rename your package, "
                    "or move its commands to a package of another name."
                )


def find_package(name: str) -> Package:
    """Return a package and its hooks, given its name or that of its module `plugin`."""
    name = name.removesuffix(".plugin")
    modules = {module.name for module in iter_modules([*_path(name)])}
    return Package(name, tuple(hook for hook in HOOKS if hook in modules))


def _find(name: str) -> list[Package]:
    modules = {module.name for module in iter_modules([*_path(name)])}
    package = find_package(name)
    for module in sorted(modules - HOOKS.keys()):
        if close := get_close_matches(module, HOOKS, n=1, cutoff=0.85):
            raise PackageError(f"{name}.{module} is not a hook; rename it to {close[0]} ({HOOKS[close[0]]}).")
    if package.offers:
        return [package]
    return [found for child in _subpackages(name) for found in _find(child)]


def _subpackages(name: str) -> list[str]:
    found = {module.name for module in iter_modules([*_path(name)]) if module.ispkg}
    if name.split(".")[1:] == [EXAMPLES]:
        # A deleted example has no `__init__` either.
        folders = (path for place in _path(name) for path in Path(place).iterdir() if path.is_dir())
        found |= {path.name for path in folders if path.name.isidentifier() and path.name != "__pycache__"}
    return sorted(f"{name}.{module}" for module in found)


def _path(name: str) -> Iterable[str]:
    spec = find_spec(name)
    return (spec.submodule_search_locations if spec else None) or ()
