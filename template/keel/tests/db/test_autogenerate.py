"""Generated migrations: tables without models stay until they are named, and enumerations are text."""

import re
from argparse import Namespace
from collections.abc import AsyncIterator, Iterator
from enum import StrEnum
from functools import partial
from itertools import pairwise
from pathlib import Path

import anyio
import pytest
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Column, Integer, MetaData, Table
from sqlalchemy.orm import Mapped, mapped_column

from keel.about import ROOT
from keel.db.database import Database
from keel.db.models import Base
from keel.tests.db.support import in_thread, table_names
from keel.tests.widgets.models import TestBase


@pytest.fixture
async def leftover(database: Database) -> AsyncIterator[str]:
    """Return the name of a table without a model; it has a row."""
    async with database.writer.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE of_an_old_feature (id INTEGER PRIMARY KEY)")
        await connection.exec_driver_sql("INSERT INTO of_an_old_feature VALUES (1)")
    yield "of_an_old_feature"
    async with database.writer.begin() as connection:
        await connection.exec_driver_sql("DROP TABLE IF EXISTS of_an_old_feature")


async def test_tables_without_models_stay(alembic: Config, leftover: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Tables of a feature that was switched off are reported, but not dropped by the next generated migration."""
    await in_thread(command.check, alembic)

    said = " ".join(capsys.readouterr().err.split())
    assert "They stay, with their rows" in said
    assert f"{leftover} holds rows" in said
    assert "-x drop=" in said


async def write_drop(alembic: Config, place: Path, *names: str) -> tuple[str, str]:
    """Generate the migration that drops these tables; return its upgrade and downgrade."""
    alembic.cmd_opts = Namespace(autogenerate=True, x=[f"drop={','.join(names)}"])
    alembic.set_main_option("version_locations", f"{ROOT / 'migrations' / 'versions'};{place}")
    alembic.set_main_option("path_separator", ";")
    await in_thread(partial(command.revision, alembic, autogenerate=True, version_path=str(place)))
    (written,) = [path async for path in anyio.Path(place).glob("*.py")]
    upgrade, downgrade = (await written.read_text()).split("def downgrade")
    return upgrade, downgrade


async def test_tables_are_dropped_by_name(
    alembic: Config, leftover: str, database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A named table is dropped by the generated migration, with a clear message."""
    upgrade, _ = await write_drop(alembic, tmp_path, leftover)

    said = " ".join(capsys.readouterr().err.split())
    assert "DROPS" in said
    assert f"{leftover} holds rows" in said
    assert f'op.drop_table("{leftover}")' in upgrade
    assert leftover in await table_names(database)


async def test_referencing_tables_are_dropped_first(alembic: Config, database: Database, tmp_path: Path) -> None:
    """A downgrade creates them last."""
    names = ["old_d", "old_a", "old_c", "old_b"]
    async with database.writer.begin() as connection:
        await connection.exec_driver_sql(f"CREATE TABLE {names[0]} (id INTEGER PRIMARY KEY)")
        for earlier, name in pairwise(names):
            columns = f"id INTEGER PRIMARY KEY, earlier INTEGER REFERENCES {earlier} (id)"
            await connection.exec_driver_sql(f"CREATE TABLE {name} ({columns})")
    try:
        upgrade, downgrade = await write_drop(alembic, tmp_path, *names)
    finally:
        async with database.writer.begin() as connection:
            for name in reversed(names):
                await connection.exec_driver_sql(f"DROP TABLE {name}")

    assert re.findall(r'op.drop_table\("(\w+)"\)', upgrade) == names[::-1]
    assert re.findall(r'op.create_table\(\s*"(\w+)"', downgrade) == names


@pytest.fixture
def modelled() -> Iterator[str]:
    """Return the name of a table that has a model."""
    table = Table("modelled", Base.metadata, Column("id", Integer, primary_key=True))
    yield table.name
    Base.metadata.remove(table)


@pytest.mark.parametrize(("name", "why"), [("nowhere", "no table nowhere"), ("modelled", "a model of modelled")])
@pytest.mark.usefixtures("modelled")
async def test_only_leftovers_can_be_dropped(alembic: Config, name: str, why: str) -> None:
    """Other names are refused before anything is compared."""
    alembic.cmd_opts = Namespace(x=[f"drop={name}"])

    with pytest.raises(CommandError, match=why):
        await in_thread(command.check, alembic)


class Colour(StrEnum):
    """Text."""

    RED = "red"


class Painted(TestBase):
    """A table whose model has gained a colour."""

    __tablename__ = "painted"
    metadata = MetaData()

    id: Mapped[int] = mapped_column(primary_key=True)
    colour: Mapped[Colour | None]


async def test_enumeration_added_to_an_existing_table(alembic: Config, database: Database, tmp_path: Path) -> None:
    """The generated migration adds, drops and re-adds the column, without a database type."""
    alembic.cmd_opts = Namespace(autogenerate=True, x=None)
    alembic.set_main_option("version_locations", f"{ROOT / 'migrations' / 'versions'};{tmp_path}")
    alembic.set_main_option("path_separator", ";")
    async with database.writer.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE painted (id INTEGER NOT NULL PRIMARY KEY)")
    table = Painted.metadata.tables["painted"].to_metadata(Base.metadata)
    try:
        await in_thread(partial(command.revision, alembic, autogenerate=True, version_path=str(tmp_path)))
        for target in ("head", "-1", "head"):
            await in_thread(command.downgrade if target == "-1" else command.upgrade, alembic, target)
        async with database.writer.begin() as connection:
            await connection.exec_driver_sql("INSERT INTO painted (id, colour) VALUES (1, 'red')")
            assert (await connection.execute(Painted.__table__.select())).all() == [(1, Colour.RED)]
        await in_thread(command.downgrade, alembic, "-1")
    finally:
        Base.metadata.remove(table)
        async with database.writer.begin() as connection:
            await connection.exec_driver_sql("DROP TABLE painted")
