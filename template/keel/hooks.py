"""Hooks: the modules of a package that are found by their names, and what each must provide."""

from inspect import signature
from types import ModuleType

from fastapi import APIRouter

HOOKS = {
    "router": "`router`, an APIRouter below /api/v1; `SCOPES`, if callers need scopes: scope to description",
    "events": "`router`, an APIRouter of streams below /api/v1",
    "models": "tables, for migrations",
    "settings": "subclasses of `keel.settings.Settings`",
    "commands": "`commands`, a Typer application: a group of commands with the package's name",
    "seed": "`seed(app, count)`, an async iterator that adds demonstration rows of `services.seed_owner` one by one",
    "account_data": "`account_data(services)`, which deletes or transfers what an account owns",
    "exports": "`exporters(services)`: name to exporter",
    "tools": "`tools(services)`: a sequence of tools, which are called with the caller's permissions",
    "gauges": "`read(app)`, an async function: gauge to value; read while telemetry is exported",
    "outbox": "`event_types(services)`, which listens to changes and returns the classes of the events it records",
    "consumers": "`consumers(services)`: what the package does with events",
    "grpc": "`add_services(app, server)`, which adds servicers and returns their names",
    "statistics": "`install(app)`, which adds routes that take precedence over those of `router`",
    "plugin": "`install(app)`, for everything that no other hook covers",
}
"""The modules that are looked for, and what each provides."""


class PackageError(Exception):
    """A package of the application breaks a convention; the message says what to change."""


_FUNCTIONS = {
    "seed": ("seed", ["app", "count"]),
    "account_data": ("account_data", ["services"]),
    "exports": ("exporters", ["services"]),
    "tools": ("tools", ["services"]),
    "gauges": ("read", ["app"]),
    "grpc": ("add_services", ["app", "server"]),
    "outbox": ("event_types", ["services"]),
    "consumers": ("consumers", ["services"]),
    "statistics": ("install", ["app"]),
    "plugin": ("install", ["app"]),
}
"""The function that a module must have, and its arguments."""


def checked(hook: str, module: ModuleType) -> ModuleType:
    """Return a module that was imported for a hook.

    Raises:
        PackageError: it lacks what its name requires.
    """
    if hook in _FUNCTIONS:
        name, arguments = _FUNCTIONS[hook]
        fault = _call_fault(getattr(module, name, None), arguments)
    elif hook in {"router", "events"}:
        name = "router"
        fault = _type_fault(getattr(module, name, None), APIRouter)
    elif hook == "commands":
        from typer import Typer  # only needed on the command line

        name = "commands"
        fault = _type_fault(getattr(module, name, None), Typer)
    else:
        return module
    if fault:
        raise PackageError(
            f"{module.__name__}: `{name}` {fault}. The module is found by its name and must provide {HOOKS[hook]}."
        )
    return module


def _type_fault(value: object, kind: type) -> str | None:
    if isinstance(value, kind):
        return None
    return "is missing" if value is None else f"is a {type(value).__name__}, not a {kind.__name__}"


def _call_fault(value: object, arguments: list[str]) -> str | None:
    if not callable(value):
        return "is missing" if value is None else "is not callable"
    try:
        signature(value).bind(*arguments)
    except TypeError:
        return f"cannot be called with ({', '.join(arguments)})"
    return None
