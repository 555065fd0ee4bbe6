"""Migrations agree with the models, in both directions."""

from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO

import anyio.to_thread
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import inspect

from app.core.database import Database
from app.core.migrations import ROOT
from app.core.models import load_models


@pytest.fixture
def alembic(database: Database) -> Config:
    """Return Alembic's configuration for the test database."""
    config = Config(toml_file=ROOT / "pyproject.toml", stdout=StringIO())
    config.attributes["database"] = database
    return config


async def in_thread(function: Callable[..., object], *arguments: object) -> None:
    """Call Alembic, which runs an event loop of its own."""
    await anyio.to_thread.run_sync(function, *arguments)


async def table_names(database: Database) -> set[str]:
    """Return the names of the tables that there are."""
    async with database.reader.connect() as connection:
        return set(await connection.run_sync(lambda c: inspect(c).get_table_names()))


async def test_models_and_migrations_agree(alembic: Config) -> None:
    """Nothing would be generated: every model has its table as the migrations make it."""
    await in_thread(command.check, alembic)


async def test_downgrade_and_upgrade(alembic: Config, database: Database) -> None:
    """Every migration can be taken back and applied again."""
    await in_thread(command.downgrade, alembic, "base")
    without = await table_names(database)
    await in_thread(command.upgrade, alembic, "head")

    assert without == {"alembic_version"}
    assert await table_names(database) == {"alembic_version", *load_models().tables}


async def test_sql_for_an_administrator(alembic: Config) -> None:
    """Who may not run migrations can read them as SQL."""
    printed = StringIO()
    alembic.output_buffer = printed
    with redirect_stdout(printed):
        await in_thread(lambda: command.upgrade(alembic, "head", sql=True))

    assert "CREATE TABLE notes" in printed.getvalue()


async def test_tables_without_models_stay(
    alembic: Config, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rows of a feature that was switched off are not dropped by the next generated migration."""
    async with database.writer.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE of_an_old_feature (id INTEGER PRIMARY KEY)")
    try:
        await in_thread(command.check, alembic)
    finally:
        async with database.writer.begin() as connection:
            await connection.exec_driver_sql("DROP TABLE of_an_old_feature")

    assert "of_an_old_feature has no model; it stays" in capsys.readouterr().out
