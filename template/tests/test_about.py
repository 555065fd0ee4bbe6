"""What is said in two places is the same."""

import tomllib

from app import about
from app.core.migrations import ROOT


def test_version() -> None:
    """The API's version is the project's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert project["version"] == about.VERSION
