"""The engines: one that writes in immediate transactions, one that reads without any.

SQLite's own default begins a transaction at the first write and then loses updates that were made in between, silently.
"""

from typing import Any

from sqlalchemy import Connection, NullPool, PoolResetState, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from keel.db.database import Database
from keel.sqlite.driver import Connection as DriverConnection
from keel.sqlite.settings import SqliteSettings


def open_database(settings: SqliteSettings) -> Database:
    """Return the database; nothing is opened before it is used."""
    # Without this, the driver would begin and commit transactions as it sees fit (PEP 249).
    arguments = {"isolation_level": None, "timeout": settings.busy_timeout, "async_creator_fn": DriverConnection}
    # Errors are logged, and what statements are given is personal.
    options = {"max_overflow": 0, "pool_timeout": settings.busy_timeout, "hide_parameters": True}
    # Only one connection can write at a time: waiting for it in a queue is fairer than trying again and again.
    writer = create_async_engine(
        settings.url, connect_args=arguments, pool_size=1, pool_reset_on_return=None, **options
    )
    _on_connect(writer, "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON")
    _begin_immediately(writer)
    _end_refused_transactions(writer)
    reader = create_async_engine(
        settings.url,
        connect_args=arguments,
        pool_size=settings.readers,
        # There is no transaction to roll back, so a connection goes back to the pool without a trip to its thread.
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        pool_reset_on_return=None,
        **options,
    )
    _on_connect(reader, "query_only=ON")

    def migrator() -> AsyncEngine:
        # Foreign keys stay unchecked: changing a table means dropping the old one, which would delete what refers to it.
        engine = create_async_engine(settings.url, connect_args=arguments, poolclass=NullPool)
        _begin_immediately(engine)
        return engine

    return Database(writer, reader, migrator, _take_turns)


async def _take_turns(_: AsyncSession, __: str) -> None:
    """Do nothing: whoever writes has the database to itself until it commit_on_error."""


def _on_connect(engine: AsyncEngine, *pragmas: str) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def set_pragmas(connection: Any, _: Any) -> None:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()


def _end_refused_transactions(engine: AsyncEngine) -> None:
    """Roll back what is still open when a connection returns to the pool.

    SQLite keeps a transaction open whose commit it has refused, and SQLAlchemy takes it for ended: whoever got the
    connection next would find the lock held and could never begin. To ask the connection costs nothing, unlike the
    pool's own rollback.
    """

    @event.listens_for(engine.sync_engine, "reset")
    def end(connection: Any, _: Any, state: PoolResetState) -> None:
        if state.asyncio_safe and connection.driver_connection.in_transaction:
            connection.rollback()


def _begin_immediately(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
