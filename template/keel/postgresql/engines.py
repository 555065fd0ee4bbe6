"""The engines: one that writes in transactions, one that reads without any.

A read in a transaction would pay for BEGIN and ROLLBACK, two round trips that a single statement does not need.
"""

from typing import Any

from sqlalchemy import Connection, NullPool, event, func, select, text
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from keel.db.database import Database
from keel.postgresql.settings import PostgresqlSettings

MIGRATION_LOCK = 0x6170700A
"""Key of the advisory lock that lets only one process migrate at a time."""


def open_database(settings: PostgresqlSettings) -> Database:
    """Return the database; nothing is opened before it is used."""
    url = settings.url.get_secret_value()
    read_url = settings.read_url.get_secret_value() if settings.read_url else url
    arguments = {"timeout": settings.connect_timeout, "command_timeout": settings.statement_timeout}
    # No overflow: connections beyond the pool would be opened and closed all the time under load, which costs more
    # than waiting for one. Last in, first out: under little load few connections stay warm.
    options = {
        "pool_size": settings.pool_size,
        "max_overflow": 0,
        "pool_timeout": settings.pool_timeout,
        "pool_use_lifo": True,
        # Errors are logged, and what statements are given is personal.
        "hide_parameters": True,
    }
    writer = create_async_engine(url, connect_args=arguments, **options)
    _watch_connections(writer)
    reader = create_async_engine(
        read_url,
        connect_args={**arguments, "server_settings": {"default_transaction_read_only": "on"}},
        isolation_level="AUTOCOMMIT",
        pool_reset_on_return=None,
        **options,
    )
    _watch_connections(reader)

    def migrator() -> AsyncEngine:
        # No statement timeout: a migration may take its time.
        engine = create_async_engine(url, connect_args={"timeout": settings.connect_timeout}, poolclass=NullPool)

        @event.listens_for(engine.sync_engine, "begin")
        def advisory_lock(connection: Connection) -> None:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            # Only now: waiting for another migration may take as long as that takes.
            connection.execute(text(f"SET LOCAL lock_timeout = {round(settings.lock_timeout * 1000)}"))

        return engine

    return Database(writer, reader, migrator, _take_turns)


async def _take_turns(session: AsyncSession, name: str) -> None:
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def _watch_connections(engine: AsyncEngine) -> None:
    """Replace connections that the server has closed, and name the errors of those that cannot be opened."""

    @event.listens_for(engine.sync_engine, "checkout")
    def refuse_closed(connection: Any, _: Any, __: Any) -> None:
        # What the driver has seen already costs nothing to ask, unlike a ping.
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError

    @event.listens_for(engine.sync_engine, "do_connect")
    def connect(dialect: Any, _: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
        try:
            return dialect.connect(*arguments, **options)
        except (OSError, dialect.dbapi.Error) as error:
            raise dialect.dbapi.OperationalError(str(error)) from error
