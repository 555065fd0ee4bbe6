"""The project's name, description and version, from `pyproject.toml`."""

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
"""The folder of the project."""

_pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

NAME: str = _pyproject["tool"]["keel"]["title"]
SLUG: str = _pyproject["tool"]["keel"]["slug"]
"""The machine-readable name, such as for the database."""
DESCRIPTION: str = _pyproject["project"]["description"]
VERSION: str = _pyproject["project"]["version"]
DEFAULTS: dict[str, Any] = _pyproject["tool"]["keel"].get("defaults", {})
"""This project's defaults for settings, by variable."""
