"""What the project is called, what it does and which version it is, as `pyproject.toml` says it."""

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
"""The folder of the project."""

_pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

NAME: str = _pyproject["tool"]["keel"]["title"]
SLUG: str = _pyproject["tool"]["keel"]["slug"]
"""The name for machines, such as the database's."""
DESCRIPTION: str = _pyproject["project"]["description"]
VERSION: str = _pyproject["project"]["version"]
DEFAULTS: dict[str, Any] = _pyproject["tool"]["keel"].get("defaults", {})
"""This project's defaults of settings, by variable."""
