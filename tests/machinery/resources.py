"""The resources of a run: created once by the main process, and passed to the others."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATHS = ("template", "python", "scratch", "warm_modules")


@dataclass(frozen=True)
class Resources:
    """Template, shared interpreter, directory for results, servers, list of modules to load."""

    template: Path
    python: Path
    scratch: Path
    server: str | None = None
    warm_modules: Path = Path("nothing")
    redis: str | None = None
    #: Whether results of a check are reused for other projects with identical input.
    reuse: bool = True

    @classmethod
    def received(cls, told: Mapping[str, Any]) -> Self:
        """Return the resources that another process has created."""
        values: dict[str, Any] = {
            name: Path(value) if name in _PATHS else value for name, value in told.items()
        }
        return cls(**values)

    def told(self) -> dict[str, str | None]:
        """Return the data with which another process receives these."""
        return {name: str(value) if name in _PATHS else value for name, value in vars(self).items()}

    @property
    def one_environment(self) -> dict[str, str]:
        """Return variables that let uv install projects used in sequence into one environment, where bytecode is kept.

        `uv sync` adapts it to what each of them declares.
        """
        place = self.scratch / f"venv-{os.getpid()}"
        return {"UV_PROJECT_ENVIRONMENT": str(place), "PYTHONDONTWRITEBYTECODE": ""}
