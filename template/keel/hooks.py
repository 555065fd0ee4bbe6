"""Hooks: the modules of a package that are found by their names, and what each must hold."""

from collections.abc import AsyncIterator, Iterable
from inspect import signature
from types import ModuleType
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI

HOOKS = {
    "router": "`router`, an APIRouter below /api/v1; `SCOPES`, if callers need any: scope to description",
    "events": "`router`, an APIRouter of streams below /api/v1",
    "models": "tables, for migrations",
    "settings": "subclasses of `keel.settings.Settings`",
    "commands": "`commands`, a Typer application: a group of commands with the package's name",
    "seed": "`seed(app, count)`, an asynchronous iterator that adds demonstration rows of `services.seed_owner` one by one",
    "account_data": "`account_data(services)`, which deletes or transfers what an account owns",
    "exports": "`exporters(services)`: name to exporter",
    "gauges": "`read(app)`, an asynchronous function: gauge to value; read while telemetry is exported",
    "outbox": "`event_types(services)`, which listens to changes and returns the classes of the events that it records",
    "consumers": "`consumers(services)`: what the package does with events",
    "grpc": "`add_services(app, server)`, which adds servicers and returns their names",
    "plugin": "`install(app)`, for what no other module does",
}
"""The modules that are looked for, and what each holds."""


class PackageError(Exception):
    """A package of the application is not what it has to be; the message says what to change."""


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
    "outbox": ("event_types", OfServices),
    "consumers": ("consumers", OfServices),
    "grpc": ("add_services", AddServices),
    "plugin": ("install", Install),
}
"""The attribute that a module must have, and its class or the protocol that it must fulfil."""


def checked(hook: str, module: ModuleType) -> ModuleType:
    """Return a module that was imported for a hook.

    Raises:
        PackageError: it lacks what its name promises.
    """
    if hook == "commands":
        from typer import Typer  # only the command line needs it

        expected: tuple[str, type] | None = ("commands", Typer)
    else:
        expected = _ATTRIBUTES.get(hook)
    if expected and (fault := _fault(getattr(module, expected[0], None), expected[1])):
        raise PackageError(
            f"{module.__name__}: `{expected[0]}` {fault}. The module is found by its name and must hold {HOOKS[hook]}."
        )
    return module


def _fault(value: object, kind: type) -> str | None:
    """Return why a value is not of a class, or cannot be called as a protocol says."""
    if value is None:
        return "is missing"
    if kind.__module__ != __name__:
        return None if isinstance(value, kind) else f"is a {type(value).__name__}, not a {kind.__name__}"
    if not callable(value):
        return "is not callable"
    parameters = list(signature(kind.__call__).parameters)[1:]
    try:
        signature(value).bind(*parameters)
    except TypeError:
        return f"cannot be called with ({', '.join(parameters)})"
    return None
