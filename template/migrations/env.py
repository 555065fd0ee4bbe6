"""Alembic's environment: every model of the application, and the engine that its database package makes."""

import asyncio
from typing import Any

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.models import UtcDateTime, load_models

metadata = load_models()


def migrator() -> AsyncEngine:
    """Return the engine of the application that migrates itself, else that of a new one."""
    database = context.config.attributes.get("database")
    if database is None:
        from app.main import create_app

        database = create_app().state.database
    return database.migrator()


def include_object(_: Any, name: str | None, type_: str, reflected: bool, compare_to: Any) -> bool:  # noqa: FBT001
    """Keep tables that no model describes: they may hold rows of a feature that was switched off."""
    if type_ == "table" and reflected and compare_to is None:
        print(f"Table {name} has no model; it stays. To drop it, write a migration by hand.")
        return False
    return True


def render_item(type_: str, item: Any, _: Any) -> str | bool:
    """Write migrations that stay the same when the application's own types change."""
    return "sa.DateTime(timezone=True)" if type_ == "type" and isinstance(item, UtcDateTime) else False


OPTIONS: dict[str, Any] = {
    "target_metadata": metadata,
    "include_object": include_object,
    "render_item": render_item,
    "render_as_batch": True,
    # A migration that fails half-way leaves nothing behind, on SQLite too.
    "transactional_ddl": True,
}


def migrate(connection: Connection) -> None:
    """Run the migrations on a connection."""
    context.configure(connection=connection, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()


async def migrate_online() -> None:
    """Run the migrations on the database."""
    engine = migrator()
    try:
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()


def migrate_offline() -> None:
    """Print the migrations as SQL (`--sql`)."""
    context.configure(dialect_name=migrator().dialect.name, literal_binds=True, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    migrate_offline()
else:
    asyncio.run(migrate_online())
