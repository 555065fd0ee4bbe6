"""Fixtures and helpers for tests, the platform's and yours. The project's `conftest.py` loads them as a pytest plugin."""

import gc
import os
import sys
from importlib.util import find_spec
from pathlib import Path

# Tests use neither a developer's `.env` nor their database.
os.environ["ENV_FILE"] = ""
os.environ["ENVIRONMENT"] = "test"

# Imports leave no garbage, and repeated collections take longer than many tests.
gc.disable()

# The client looks for it at each request; finding that it is not installed takes as long as the rest of the request.
if find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # ty: ignore[invalid-assignment]

_ROOT = Path(__file__).parents[2]


def _fixtures(pattern: str) -> list[str]:
    return [".".join(path.relative_to(_ROOT).with_suffix("").parts) for path in sorted(_ROOT.glob(pattern))]


# The environment first: importing the application must find the settings of tests, not a developer's.
pytest_plugins = [
    f"{__name__}.environment",
    *_fixtures("keel/tests/*/fixtures.py"),
    *(f"{__name__}.{name}" for name in ("application", "breakable", "database", "examples", "mail", "plans", "server")),
    *_fixtures("tests/**/fixtures.py"),
]


def pytest_collection_finish() -> None:
    """From here on, collect garbage like a deployed process, only of the tests themselves."""
    from keel.application import settle_gc

    settle_gc()
    gc.enable()
