"""Compile each Jinja source once per process instead of once per copy. For the tests only.

Copier compiles every part of every path anew for each copy. Code objects don't depend on the environment that made
them, only on its syntax, which is one and the same throughout a template. It halves the time of a copy.
"""

from __future__ import annotations

from typing import Any

from jinja2 import Environment

_original = Environment.compile
_compiled: dict[tuple[Any, ...], Any] = {}


def memoise_compiling() -> None:
    """Replace Jinja's compiler in this process by one that remembers."""
    setattr(Environment, "compile", _compile_once)  # noqa: B010 - a method is replaced on purpose


def _compile_once(
    self: Environment,
    source: Any,  # noqa: ANN401 - Jinja takes text or a syntax tree
    name: str | None = None,
    filename: str | None = None,
    raw: bool = False,  # noqa: FBT001, FBT002 - Jinja's signature
    defer_init: bool = False,  # noqa: FBT001, FBT002 - Jinja's signature
) -> Any:  # noqa: ANN401 - text when `raw`, else code
    if raw or defer_init or not isinstance(source, str):
        return _original(self, source, name, filename, raw, defer_init)
    syntax = (self.block_start_string, self.trim_blocks, self.lstrip_blocks, self.keep_trailing_newline)
    key = (source, name, filename, *syntax, *self.extensions)
    if key not in _compiled:
        _compiled[key] = _original(self, source, name, filename)
    return _compiled[key]
