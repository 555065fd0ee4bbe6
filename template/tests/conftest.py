"""Set the environment before anything imports the application, then load the fixtures."""

import gc
import os
import sys
from importlib.util import find_spec
from pathlib import Path

# Neither a developer's `.env` nor their database has a part in tests.
os.environ["ENV_FILE"] = ""
os.environ["ENVIRONMENT"] = "test"

# Loading leaves no garbage, and looking for it again and again takes longer than many tests.
gc.disable()

# The client asks for it at each request; that it is not installed takes as long to find out as all the rest of a request.
if find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # ty: ignore[invalid-assignment]

_here = Path(__file__).parent

pytest_plugins = [
    ".".join(path.relative_to(_here.parent).with_suffix("").parts)
    for path in sorted([*_here.glob("fixtures/[!_]*.py"), *_here.glob("*/fixtures.py")])
]


def pytest_collection_finish() -> None:
    """From here on, look for garbage as a deployed process does: in what the tests themselves make."""
    from app.core import collector

    collector.settle()
    gc.enable()
