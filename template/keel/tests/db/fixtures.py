"""Alembic, configured for the tests' database."""

from io import StringIO

import pytest
from alembic.config import Config

from keel.about import ROOT
from keel.db.database import Database


@pytest.fixture
def alembic(database: Database) -> Config:
    """Return Alembic's configuration for the test database."""
    config = Config(toml_file=ROOT / "pyproject.toml", stdout=StringIO())
    config.attributes["database"] = database
    return config
