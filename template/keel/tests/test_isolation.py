"""No test reaches what a developer works with, whatever client it uses."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Column, Integer, MetaData, Table

from app.main import app as imported
from app.main import create_app
from keel.services import services_of
from keel.testing.database import refuse_unmigrated


def test_the_imported_application(database_url: str) -> None:
    """`TestClient(app)`, as FastAPI's tutorial has it, works on the database of the tests."""
    with TestClient(imported) as client:
        assert client.get("/readyz").status_code == 200

    url = services_of(imported).database.writer.url
    assert url.render_as_string(hide_password=False) == database_url


def test_settings() -> None:
    """They are those of tests, for code that reads them before any fixture, too."""
    settings = services_of(imported).settings

    assert (settings.environment, settings.log_level, settings.api_docs) == ("test", "WARNING", True)


def test_a_model_without_a_migration(environment: None) -> None:
    """The run ends at once and says what to do, instead of a driver's words from each test."""
    metadata = MetaData()
    Table("unmade", metadata, Column("id", Integer))
    Table("alembic_version", metadata, Column("author", Integer))

    with pytest.raises(pytest.exit.Exception, match="alembic revision --autogenerate") as ended:
        refuse_unmigrated(services_of(create_app()).database, metadata)

    assert "the table `unmade`, the column `alembic_version.author`" in str(ended.value)
