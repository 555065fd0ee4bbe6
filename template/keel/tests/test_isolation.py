"""No test touches the developer's data, whatever client it uses."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Column, Integer, MetaData, Table, text

from app.main import app as imported
from app.main import create_app
from keel.db.database import Database
from keel.db.models import IS_VIEW
from keel.services import services_of
from keel.testing.database import refuse_unmigrated, wiping
from keel.testing.support import RunScript
from keel.tests.widgets.models import Widget


def test_the_imported_application(database_url: str) -> None:
    """`TestClient(app)`, as in FastAPI's tutorial, uses the test database."""
    with TestClient(imported) as client:
        assert client.get("/readyz").status_code == 200

    url = services_of(imported).database.writer.url
    assert url.render_as_string(hide_password=False) == database_url


def test_client_without_lifespan(environment: None) -> None:
    """`TestClient(app)` without `with` starts neither pools nor jobs: the error says what to write."""
    with pytest.raises(RuntimeError, match=r"with TestClient\(app\) as client"):
        TestClient(create_app()).get("/readyz")


def test_settings() -> None:
    """The tests' settings apply even to code that reads them before any fixture runs."""
    settings = services_of(imported).settings

    assert (settings.environment, settings.log_level, settings.api_docs) == ("test", "WARNING", True)


def test_a_model_without_a_migration(environment: None) -> None:
    """The run ends at once and says what to do, instead of a driver's error in each test."""
    metadata = MetaData()
    Table("unmade", metadata, Column("id", Integer))
    Table("alembic_version", metadata, Column("author", Integer))

    with pytest.raises(pytest.exit.Exception, match="alembic revision --autogenerate") as ended:
        refuse_unmigrated(services_of(create_app()).database, metadata)

    assert "the table `unmade`, the column `alembic_version.author`" in str(ended.value)


async def test_a_model_of_a_view(environment: None, database: Database, run_script: RunScript) -> None:
    """It must be marked as a view; then no test tries to delete its rows."""
    metadata = MetaData()
    view = Table("counted", metadata, Column("id", Integer))
    async with database.writer.begin() as connection:
        await connection.execute(text("CREATE VIEW counted AS SELECT count(*) AS id FROM alembic_version"))
    try:
        with pytest.raises(pytest.exit.Exception, match="is_view") as ended:
            refuse_unmigrated(services_of(create_app()).database, metadata)
        view.info[IS_VIEW] = True
        refuse_unmigrated(services_of(create_app()).database, metadata)
        await wiping(run_script, [Widget.metadata.tables[Widget.__tablename__], view])()
    finally:
        async with database.writer.begin() as connection:
            await connection.execute(text("DROP VIEW counted"))

    assert "These models describe views: `counted`." in str(ended.value)
