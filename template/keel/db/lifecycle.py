"""The lifecycle of the application's database: optional migration at startup, readiness checks, closing at the end."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from sqlalchemy import Connection, inspect

from keel.about import ROOT
from keel.db.database import Database
from keel.db.models import Base
from keel.services import services_of


async def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the schema of a database to a revision."""
    await asyncio.to_thread(_upgrade, database, revision)


def _upgrade(database: Database, revision: str) -> None:
    # Imported late: deployed processes never migrate themselves.
    from alembic import command
    from alembic.config import Config

    config = Config(toml_file=ROOT / "pyproject.toml")
    config.attributes["database"] = database
    command.upgrade(config, revision)


class MissingTables(Exception):
    """The database lacks tables that models describe."""


async def check_tables(database: Database) -> None:
    """Check that the database has a table for each model that this process has loaded.

    Raises:
        MissingTables: it lacks some; the message names them.
    """
    async with database.reader.connect() as connection:
        missing = await connection.run_sync(_missing)
    if missing:
        raise MissingTables(
            f"The database has no table {', '.join(missing)}: migrate it, unless it is another project's (DATABASE_URL). "
            "A model without a migration needs one: alembic revision --autogenerate"
        )


def _missing(connection: Connection) -> list[str]:
    described = {table.name for table in Base.metadata.tables.values() if table.schema is None}
    database = inspect(connection)
    # A model may also describe a view, which only the second query finds.
    return sorted(name for name in described - {*database.get_table_names()} if not database.has_table(name))


def install(app: FastAPI, database: Database, *, migrate: bool) -> None:
    """Install a database as the application's."""
    services = services_of(app)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        try:
            if migrate:
                await upgrade(database)
            yield
        finally:
            # Running jobs may still need the database.
            await services.jobs.drain()
            await database.close()

    async def check() -> None:
        await database.ping()
        await check_tables(database)

    services.database = database
    services.checks.add("database", check)
    app.include_router(APIRouter(lifespan=lifespan))
