"""Migrations agree with the models, up and down."""

from argparse import Namespace
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

import anyio
import pytest
from alembic import command
from alembic.config import Config

from keel.about import ROOT
from keel.db.database import Database
from keel.db.models import load_models
from keel.tests.db.support import in_thread, table_names
from keel.tests.widgets.models import TestBase


async def test_models_and_migrations_agree(alembic: Config) -> None:
    """Autogenerate finds no difference."""
    await in_thread(command.check, alembic)


async def test_no_empty_migration(alembic: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Autogenerate writes a revision only if there is a difference, so it can run after every update."""
    alembic.cmd_opts = Namespace(autogenerate=True, x=None)
    alembic.set_main_option("version_locations", f"{ROOT / 'migrations' / 'versions'};{tmp_path}")
    alembic.set_main_option("path_separator", ";")
    generate = partial(command.revision, alembic, autogenerate=True, version_path=str(tmp_path))

    await in_thread(generate)

    assert [path async for path in anyio.Path(tmp_path).iterdir()] == []
    assert "no migration to write" in capsys.readouterr().out


async def test_downgrade_and_upgrade(alembic: Config, database: Database) -> None:
    """Every migration can be reverted and applied again."""
    await in_thread(command.downgrade, alembic, "base")
    without = await table_names(database)
    await in_thread(command.upgrade, alembic, "head")

    assert without == {"alembic_version", *TestBase.metadata.tables}
    # There may be more: migrations also make the tables of features that were switched off since.
    assert await table_names(database) >= {"alembic_version", *load_models("keel", "app").tables}


async def test_offline_sql(alembic: Config) -> None:
    """Migrations can be printed as SQL."""
    printed = StringIO()
    alembic.output_buffer = printed
    with redirect_stdout(printed):
        await in_thread(lambda: command.upgrade(alembic, "head", sql=True))

    assert "CREATE TABLE alembic_version" in printed.getvalue()
