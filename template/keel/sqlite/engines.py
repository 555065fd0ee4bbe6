"""Two engines: the writer uses immediate transactions, the reader uses none.

By default SQLite takes the write lock at the first write, so a transaction that has read before silently overwrites
the changes that another one committed in between.
"""

from typing import Any

from sqlalchemy import Connection, NullPool, PoolResetState, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from keel.db.database import Database
from keel.sqlite.database import OneWriter
from keel.sqlite.settings import SqliteSettings


def open_database(settings: SqliteSettings) -> Database:
    """Return the database; connections are opened on first use."""
    # `isolation_level=None`: otherwise the driver begins and commits transactions implicitly (PEP 249).
    arguments = {"isolation_level": None, "timeout": settings.busy_timeout}
    # Errors are logged, and parameters hold personal data.
    options = {"max_overflow": 0, "pool_timeout": settings.busy_timeout, "hide_parameters": True}
    # SQLite has one writer at a time: a queue for one connection is fairer than polling for the lock.
    writer = create_async_engine(
        settings.absolute_url, connect_args=arguments, pool_size=1, pool_reset_on_return=None, **options
    )
    _on_connect(writer, "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON")
    _begin_immediately(writer)
    _end_refused_transactions(writer)
    reader = create_async_engine(
        settings.absolute_url,
        connect_args=arguments,
        pool_size=settings.readers,
        # There is no transaction to roll back, so returning a connection costs no trip to its thread.
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        pool_reset_on_return=None,
        **options,
    )
    _on_connect(reader, "query_only=ON")

    def migrator() -> AsyncEngine:
        # Foreign keys stay unchecked: Alembic changes a table by dropping the old one, which would cascade.
        engine = create_async_engine(settings.absolute_url, connect_args=arguments, poolclass=NullPool)
        _begin_immediately(engine)
        return engine

    return OneWriter(writer, reader, migrator, _advisory_lock)


async def check_writing(database: Database) -> None:
    """Write an unchanged value: a full disk or a read-only file can still be read."""
    async with database.writer.begin() as connection:
        version = (await connection.exec_driver_sql("PRAGMA user_version")).scalar_one()
        await connection.exec_driver_sql(f"PRAGMA user_version = {version}")


async def _advisory_lock(_: AsyncSession, __: str) -> None:
    """Do nothing: a write transaction already has the database to itself until it ends."""


def _on_connect(engine: AsyncEngine, *pragmas: str) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def set_pragmas(connection: Any, _: Any) -> None:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()


def _end_refused_transactions(engine: AsyncEngine) -> None:
    """Roll back a transaction that is still open when its connection returns to the pool.

    SQLite keeps a transaction open if its COMMIT fails, while SQLAlchemy considers it ended: the next user of the
    connection could not BEGIN. Checking `in_transaction` costs no trip to the thread, unlike the pool's own rollback.
    """

    @event.listens_for(engine.sync_engine, "reset")
    def end(connection: Any, _: Any, state: PoolResetState) -> None:
        if state.asyncio_safe and connection.driver_connection.in_transaction:
            connection.rollback()


def _begin_immediately(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
