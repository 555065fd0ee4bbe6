"""Clashes: two routes, or two groups of commands, with the same name. Of tables, `keel.db.models.Base` tells.

The names that Keel uses, with any features, are listed in `keel/docs/reserved-names.md`.
"""

import re
from collections.abc import Iterable

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from keel.hooks import PackageError
from keel.packages import Package

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
"""The commands of `python -m app` that every project may have."""

_PARAMETER = re.compile(r"{[^}:]*")


def check_routes(app: FastAPI) -> None:
    """Compare all routes, whatever their parameters are called.

    Raises:
        PackageError: two functions serve the same method and path; the message names both.
    """
    found: dict[tuple[str, str], str] = {}
    for route in iter_route_contexts(app.routes):
        if route.path is None or route.endpoint is None:
            continue
        name = f"{route.endpoint.__module__}.{getattr(route.endpoint, '__name__', type(route.endpoint).__name__)}"
        for method in route.methods or ("WebSocket",):
            other = found.setdefault((method, _PARAMETER.sub("{", route.path)), name)
            if other != name:
                raise PackageError(
                    f"Two functions serve {method} {route.path}: {other} and {name}. Give yours another path."
                )


def check_commands(packages: Iterable[Package]) -> None:
    """Compare the names of the groups of commands that packages bring.

    Raises:
        PackageError: two have the same name, or one has that of a command; the message names both.
    """
    found = dict.fromkeys(COMMANDS, "keel.ops.cli")
    for package in packages:
        if "commands" in package.offers:
            other = found.setdefault(package.short_name, package.name)
            if other != package.name:
                raise PackageError(
                    f"`python -m app {package.short_name}` would be both {other} and {package.name}. Rename your package, "
                    "or have its commands in a package of another name."
                )
