"""Emptying the one migrated database that all tests share."""

from collections.abc import Iterable

import pytest
from sqlalchemy import Table

from keel.db.models import load_models
from keel.testing.support import RunScript, Wipe


@pytest.fixture(scope="session")
def wipe(run_script: RunScript) -> Wipe:
    """Return what empties every table, in one round trip."""
    return wiping(run_script, load_models("keel", "app").sorted_tables)


def wiping(run_script: RunScript, tables: Iterable[Table]) -> Wipe:
    """Return what empties tables, given so that referring tables come last."""
    script = "".join(f'DELETE FROM "{table.name}";' for table in reversed([*tables]))  # noqa: S608 - our own names

    async def run() -> None:
        await run_script(script)

    return run
