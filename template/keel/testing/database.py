"""Emptying the one migrated database that all tests share."""

import pytest

from keel.db.models import load_models
from keel.testing.support import RunScript, Wipe


@pytest.fixture(scope="session")
def wipe(run_script: RunScript) -> Wipe:
    """Return what empties every table, in one round trip: referring tables first."""
    tables = reversed(load_models("keel", "app").sorted_tables)
    script = "".join(f'DELETE FROM "{table.name}";' for table in tables)  # noqa: S608 - our own names

    async def run() -> None:
        await run_script(script)

    return run
