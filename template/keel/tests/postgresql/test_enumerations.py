"""Native PostgreSQL enumerations, whose changes autogenerate cannot detect."""

from argparse import Namespace
from collections.abc import Iterator
from enum import StrEnum
from functools import partial
from pathlib import Path

import anyio.to_thread
import pytest
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Column, Enum, Integer, Table

from keel.about import ROOT
from keel.db.database import Database
from keel.db.models import Base


class Colour(StrEnum):
    """Text."""

    RED = "red"


@pytest.fixture
def table() -> Iterator[Table]:
    """Return a table with such a type and no migration."""
    table = Table("painted", Base.metadata, Column("id", Integer, primary_key=True), Column("colour", Enum(Colour)))
    yield table
    Base.metadata.remove(table)


@pytest.mark.usefixtures("table")
async def test_no_migration_is_written(database: Database, tmp_path: Path) -> None:
    """The error names the enumeration and says what to write."""
    config = Config(toml_file=ROOT / "pyproject.toml", cmd_opts=Namespace(autogenerate=True, x=None))
    config.attributes["database"] = database
    config.set_main_option("version_locations", f"{ROOT / 'migrations' / 'versions'};{tmp_path}")
    config.set_main_option("path_separator", ";")
    generate = partial(command.revision, config, autogenerate=True, version_path=str(tmp_path))

    with pytest.raises(CommandError, match="The enumeration `colour` would become a native PostgreSQL type"):
        await anyio.to_thread.run_sync(generate)

    assert [path async for path in anyio.Path(tmp_path).iterdir()] == []
