"""A database as the application's: migrated when it starts, if asked, checked for readiness, and closed at the end."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from keel.db import migrations
from keel.db.database import Database
from keel.services import services_of


def install(app: FastAPI, database: Database, *, migrate: bool) -> None:
    """Make a database the application's."""
    services = services_of(app)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        try:
            if migrate:
                await migrations.upgrade(database)
            yield
        finally:
            # What was begun may still need the database.
            await services.jobs.drain()
            await database.close()

    services.database = database
    services.checks.add("database", database.ping)
    app.include_router(APIRouter(lifespan=lifespan))
