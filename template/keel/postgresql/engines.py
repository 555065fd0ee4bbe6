"""The engines: one that writes in transactions, one that reads without any.

A read in a transaction would cost BEGIN and ROLLBACK, two round trips that a single statement does not need.
"""

from typing import Any

from sqlalchemy import Connection, ExceptionContext, NullPool, event, func, make_url, select, text
from sqlalchemy.exc import InvalidatePoolError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from keel.db.database import Database
from keel.postgresql.settings import PostgresqlSettings
from keel.postgresql.urls import split

MIGRATION_LOCK = 0x6170700A
"""Key of the advisory lock that lets only one process migrate at a time."""


READ_ONLY = "default_transaction_read_only"

POOLED = {"statement_cache_size": 0, "prepared_statement_cache_size": 0, "prepared_statement_name_func": lambda: ""}
"""Unnamed statements end with their transaction: the next one may run on another connection to the server."""


def open_database(settings: PostgresqlSettings) -> Database:
    """Return the database; connections are opened on first use."""
    url, given = split(make_url(settings.url.get_secret_value()))
    read_url, read_given = split(make_url((settings.read_url or settings.url).get_secret_value()))
    common = {"timeout": settings.connect_timeout, **(POOLED if settings.pooler else {})}
    limited = {**common, "command_timeout": settings.statement_timeout}
    options = {
        # No overflow: connections beyond the pool would be opened and closed all the time under load, which costs more
        # than waiting for one. Last in, first out: under little load few connections stay warm.
        "pool_size": settings.pool_size,
        "max_overflow": 0,
        "pool_timeout": settings.pool_timeout,
        "pool_use_lifo": True,
        # Errors are logged, and parameters hold personal data.
        "hide_parameters": True,
    }
    writer = create_async_engine(url, connect_args={**limited, **given}, **options)
    _watch_connections(writer)
    _leave_standby(writer)
    if settings.pooler:
        # Options at the start of a connection, or in a session, would not reach the server connection that reads.
        reader = create_async_engine(
            read_url,
            connect_args={**limited, **read_given},
            execution_options={"postgresql_readonly": True},
            **options,
        )
    else:
        at_start = {**read_given.pop("server_settings", {}), READ_ONLY: "on"}
        reader = create_async_engine(
            read_url,
            connect_args={**limited, **read_given, "server_settings": at_start},
            isolation_level="AUTOCOMMIT",
            pool_reset_on_return=None,
            **options,
        )
    _watch_connections(reader, read_only=not settings.pooler)

    def migrator() -> AsyncEngine:
        # No statement timeout: a migration may take its time.
        engine = create_async_engine(url, connect_args={**common, **given}, poolclass=NullPool)

        @event.listens_for(engine.sync_engine, "begin")
        def advisory_lock(connection: Connection) -> None:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            # Only now: waiting for another migration may take as long as it needs.
            connection.execute(text(f"SET LOCAL lock_timeout = {round(settings.lock_timeout * 1000)}"))

        return engine

    return Database(writer, reader, migrator, _take_turns)


async def _take_turns(session: AsyncSession, name: str) -> None:
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def _watch_connections(engine: AsyncEngine, *, read_only: bool = False) -> None:
    """Replace connections that the server has closed, and explain errors of opening one."""

    @event.listens_for(engine.sync_engine, "checkout")
    def refuse_closed(connection: Any, _: Any, __: Any) -> None:
        # The driver's own state costs nothing to check, unlike a ping.
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError

    @event.listens_for(engine.sync_engine, "do_connect")
    def connect(dialect: Any, _: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
        try:
            return dialect.connect(*arguments, **options)
        except (OSError, dialect.dbapi.Error) as error:
            hint = f" ({_POOLER})" if READ_ONLY in str(error) else ""
            raise dialect.dbapi.OperationalError(f"{error}{hint}") from error

    @event.listens_for(engine.sync_engine, "connect")
    def refuse_writable(connection: Any, _: Any) -> None:
        # Here and not above: the pool closes a connection whose event fails or is cancelled.
        if read_only and connection.run_async(_ask_read_only) != "on":
            raise engine.dialect.loaded_dbapi.OperationalError(f"{READ_ONLY} is ignored ({_POOLER})")

    @event.listens_for(engine.sync_engine, "handle_error")
    def explain(context: ExceptionContext) -> Exception | None:
        error = context.original_exception
        if getattr(error, "sqlstate", None) in _UNPREPARED:
            return OperationalError(f"{error} ({_POOLER})", None, error)
        return None


def _leave_standby(engine: AsyncEngine) -> None:
    """Close all connections to a server that has become read-only: its replacement may have the same address."""

    @event.listens_for(engine.sync_engine, "handle_error")
    def look(context: ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY_TRANSACTION:
            context.is_disconnect = True


_READ_ONLY_TRANSACTION = "25006"

_UNPREPARED = {"26000", "42P05"}
"""SQLSTATEs of a statement prepared on another server connection, or on this one by another client."""

_POOLER = "there is a pooler in between: set DATABASE_POOLER=true"


async def _ask_read_only(connection: Any) -> str:
    return await connection.fetchval(f"SHOW {READ_ONLY}")
