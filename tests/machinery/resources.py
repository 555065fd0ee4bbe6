"""What every process of a run works with: made once, by the process that starts the others, and handed to them."""

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
    #: Whether what was found out about one result counts for another that is the same in all that it depends on.
    reuse: bool = True

    @classmethod
    def received(cls, told: Mapping[str, Any]) -> Self:
        """The resources that another process has made."""
        values: dict[str, Any] = {
            name: Path(value) if name in _PATHS else value for name, value in told.items()
        }
        return cls(**values)

    def told(self) -> dict[str, str | None]:
        """What another process needs to receive it."""
        return {name: str(value) if name in _PATHS else value for name, value in vars(self).items()}

    @property
    def one_environment(self) -> dict[str, str]:
        """Where uv installs projects that are used one after another: in one place, where bytecode stays.

        `uv sync` makes it what each of them declares.
        """
        place = self.scratch / f"venv-{os.getpid()}"
        return {"UV_PROJECT_ENVIRONMENT": str(place), "PYTHONDONTWRITEBYTECODE": ""}
