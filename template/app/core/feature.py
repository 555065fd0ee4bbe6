"""What a feature package offers; a module of this shape is all it takes to plug in."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Protocol

from fastapi import FastAPI


class Feature(Protocol):
    """A package that adds something to the application.

    Besides `install`, a package may have these modules, which are found by their names:

    - `models`: tables, for migrations
    - `settings`: subclasses of `app.core.settings.Settings`
    - `commands`: `commands`, a Typer application that the command line offers under the package's name
    - `seed`: `async def seed(app, count)`, an iterator that adds demonstration data row by row
    """

    __name__: str

    def install(self, app: FastAPI) -> None:
        """Add routers, middleware, readiness checks or a shared implementation of one of core's ports."""


def submodule(feature: Feature, name: str) -> ModuleType | None:
    """Return a module of a feature's package, if it has one of that name."""
    full_name = f"{feature.__name__}.{name}"
    return import_module(full_name) if find_spec(full_name) else None
