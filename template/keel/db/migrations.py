"""Migrations from within the application; `alembic` on the command line does the same and more."""

import asyncio
from typing import Any

from keel.about import ROOT


async def upgrade(database: Any, revision: str = "head") -> None:
    """Bring the schema of a database to a revision."""
    await asyncio.to_thread(_upgrade, database, revision)


def _upgrade(database: Any, revision: str) -> None:
    # Deployed processes never migrate themselves, so they need not load any of this.
    from alembic import command
    from alembic.config import Config

    config = Config(toml_file=ROOT / "pyproject.toml")
    config.attributes["database"] = database
    command.upgrade(config, revision)
