"""Alembic's environment: every model of the application, and the engine that its database package makes."""

import asyncio
import logging
from typing import Any

from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrationScript
from alembic.util import CommandError
from sqlalchemy import Connection, Enum
from sqlalchemy.ext.asyncio import AsyncEngine

from keel.db.models import UtcTimestamp, load_models
from keel.ops.orphaned_tables import OrphanedTables

metadata = load_models("keel", "app")


def migrator() -> AsyncEngine:
    """Return the engine of the application that is migrating itself, or else a new application's."""
    database = context.config.attributes.get("database")
    if database is None:
        from app.main import create_app
        from keel.services import services_of

        database = services_of(create_app()).database
    return database.migrator()


def leave_out_empty(scripts: list[MigrationScript]) -> None:
    """Write no revision where autogenerate finds nothing to do, so that it can be run after every update."""
    found = [operations for script in scripts for operations in script.upgrade_ops_list]
    if getattr(context.config.cmd_opts, "autogenerate", False) and all(operations.is_empty() for operations in found):
        scripts.clear()
        print("The database has what the models describe: there is no migration to write.")


def render_item(type_: str, item: Any, autogenerate: AutogenContext) -> str | bool:
    """Write migrations that stay the same when the application's own types change.

    Raises:
        CommandError: an enumeration would become a native type of PostgreSQL. Autogenerate does not create such a type
            for a new column, drop it, or change its members.
    """
    if type_ != "type":
        return False
    if isinstance(item, Enum) and item.native_enum and autogenerate.dialect.name == "postgresql":
        raise CommandError(
            f"The enumeration `{item.name}` would become a native PostgreSQL type, whose changes autogenerate misses. "
            "Annotate the column and omit the type, `Mapped[...] = mapped_column()`, or pass native_enum=False."
        )
    return "sa.DateTime(timezone=True)" if isinstance(item, UtcTimestamp) else False


OPTIONS: dict[str, Any] = {
    "target_metadata": metadata,
    "render_item": render_item,
    "render_as_batch": True,
    # A migration that fails half-way leaves nothing behind, on SQLite too.
    "transactional_ddl": True,
}


def migrate(connection: Connection) -> None:
    """Run the migrations on a connection."""
    named = context.get_x_argument(as_dictionary=True).get("drop", "")
    leftovers = OrphanedTables(connection, metadata, [name for name in named.split(",") if name])

    def finish(_: object, __: object, scripts: list[MigrationScript]) -> None:
        leftovers.sort(scripts)
        leave_out_empty(scripts)

    context.configure(
        connection=connection, include_object=leftovers.include, process_revision_directives=finish, **OPTIONS
    )
    with context.begin_transaction():
        context.run_migrations()
        leftovers.report()


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
    dialect_name = migrator().dialect.name
    # The application logs to the standard output, which is for SQL alone here.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    context.configure(dialect_name=dialect_name, literal_binds=True, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    migrate_offline()
else:
    asyncio.run(migrate_online())
