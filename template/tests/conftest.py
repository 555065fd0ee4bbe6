"""Set the environment before anything imports the application, then load the fixtures."""

import os
from pathlib import Path

# Neither a developer's `.env` nor their database has a part in tests.
os.environ["ENV_FILE"] = ""
os.environ["ENVIRONMENT"] = "test"

_here = Path(__file__).parent

pytest_plugins = [
    ".".join(path.relative_to(_here.parent).with_suffix("").parts)
    for path in sorted([*_here.glob("fixtures/[!_]*.py"), *_here.glob("*/fixtures.py")])
]


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over all that is loaded by now, as a deployed process does."""
    from app.core import collector

    collector.settle()
