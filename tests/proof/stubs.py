"""The code that the rendered project has generated for clients of gRPC, without the rest of the project.

Its package `app` wants what the project depends on, which is not installed here.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

STUBS = "app.examples.notes.grpc.stubs"
SERVICE = f"{STUBS}.keel.notes.v1.notes"


def load(project: Path) -> tuple[Any, Any]:
    """Return the modules of messages and of services. The packages above the generated code are empty ones."""
    parts = STUBS.split(".")
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(project.joinpath(*parts))] if name == STUBS else []
        sys.modules[name] = module_from_spec(spec)
    return import_module(f"{SERVICE}_pb2"), import_module(f"{SERVICE}_pb2_grpc")
