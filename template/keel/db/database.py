"""The database, as requests use it: one transaction for writes, and reads without a transaction.

The package for the project's database provides the engines.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, TypeVarTuple, overload

import structlog
from sqlalchemy import Executable, Result, Row, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.sql.selectable import TypedReturnsRows
from sqlalchemy.util import greenlet_spawn

from keel.web.errors import AppError, Unavailable

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
AnyRow = Row[*tuple[Any, ...]]
"""A row with unknown column types; a `select` that names its columns gives typed rows."""
Parameters = Mapping[str, Any]
Fetch = Callable[[Result[Any]], T]
AfterCommit = Callable[[], Awaitable[None]]
AdvisoryLock = Callable[[AsyncSession, str], Awaitable[object]]

log = structlog.get_logger()


class _Reads:
    """Methods for reading that both sessions have."""

    @overload
    async def all(
        self, statement: TypedReturnsRows[*Ts], parameters: Parameters | None = None
    ) -> Sequence[Row[*Ts]]: ...

    @overload
    async def all(self, statement: Executable, parameters: Parameters | None = None) -> Sequence[AnyRow]: ...

    async def all(self, statement: Executable, parameters: Parameters | None = None) -> Sequence[AnyRow]:
        """Return every row."""
        return await self._fetch(statement, parameters, Result.all)

    @overload
    async def first(
        self, statement: TypedReturnsRows[*Ts], parameters: Parameters | None = None
    ) -> Row[*Ts] | None: ...

    @overload
    async def first(self, statement: Executable, parameters: Parameters | None = None) -> AnyRow | None: ...

    async def first(self, statement: Executable, parameters: Parameters | None = None) -> AnyRow | None:
        """Return the first row, or None."""
        return await self._fetch(statement, parameters, Result.first)

    async def _fetch(self, statement: Executable, parameters: Parameters | None, fetch: Fetch[T]) -> T:
        raise NotImplementedError


class Session(_Reads, AsyncSession):
    """The transaction of a request: SQLAlchemy's session, with callbacks after the commit."""

    def after_commit(self, callback: AfterCommit) -> None:
        """Call back after the commit; never if the transaction fails.

        The callback runs before the response is sent, so it should be quick. If it raises, the error is logged and the
        request still succeeds: its changes are already stored.
        """
        self.info.setdefault("after_commit", []).append(callback)

    async def advisory_lock(self, name: str) -> None:
        """Wait until no other transaction holds the lock of this name, and hold it until this one ends.

        Others wait meanwhile, so what this transaction has read is still true when it commits.
        """
        await self.info["turns"](self, name)

    async def _fetch(self, statement: Executable, parameters: Parameters | None, fetch: Fetch[T]) -> T:
        return fetch(await self.execute(statement, parameters))


class EndedSession(Session):
    """The class of a session whose transaction has ended: using it raises an error that says what to do."""

    def __getattribute__(self, name: str) -> Any:
        """Refuse any use.

        Raises:
            RuntimeError: always; nothing would be stored.
        """
        raise RuntimeError(
            "The transaction ended before the response was sent. Later code, such as a background task or a stream, "
            "needs its own: take `DatabaseDep` and write `async with database.transaction() as session:`, or enqueue a "
            "job (`JobsDep`). To read, take `ReadSessionDep`."
        )


class ReadSession(_Reads):
    """Reads, each statement on its own connection, outside any transaction.

    Nothing is held between statements, so a stream can keep one of these for hours. Its engine cannot write: the
    database refuses.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def scalar(self, statement: Executable, parameters: Parameters | None = None) -> Any:
        """Return the first column of the first row, or None."""
        return await self._fetch(statement, parameters, Result.scalar)

    async def _fetch(self, statement: Executable, parameters: Parameters | None, fetch: Fetch[T]) -> T:
        try:
            try:
                return await greenlet_spawn(self._run, statement, parameters, fetch)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
            # The server closed a pooled connection, such as on a restart. The pool has been renewed by now, and a read
            # can be repeated safely.
            return await greenlet_spawn(self._run, statement, parameters, fetch)
        except Exception as error:
            raise unavailable_if_outage(error) from error

    def _run(self, statement: Executable, parameters: Parameters | None, fetch: Fetch[T]) -> T:
        """Connect, execute and close in one step: AsyncConnection would switch greenlets for each of them."""
        with self._engine.sync_engine.connect() as connection:
            return fetch(connection.execute(statement, parameters))


class Database:
    """The engines, and the sessions that requests get."""

    def __init__(
        self, writer: AsyncEngine, reader: AsyncEngine, migrator: Callable[[], AsyncEngine], turns: AdvisoryLock
    ) -> None:
        """Take the engines, a factory of one for migrations, and the lock of `Session.advisory_lock`."""
        self.writer = writer
        self.reader = reader
        self.migrator = migrator
        self.read = ReadSession(reader)
        # `close_resets_only=False`: a closed session must not silently reopen and keep a connection.
        self._sessions = async_sessionmaker(
            writer, class_=Session, expire_on_commit=False, close_resets_only=False, info={"turns": turns}
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Session]:
        """Open a session, commit when the block ends, roll back when it raises.

        An `AppError` with `commit_on_error` is raised again after the commit.

        Raises:
            Unavailable: the database cannot be reached, or aborted the transaction; a retry may succeed.
        """
        kept: AppError | None = None
        try:
            session = self._sessions()
            try:
                try:
                    yield session
                except AppError as error:
                    if not error.commit_on_error:
                        raise
                    kept = error
                await session.commit()
            except BaseException:
                async with session:  # Rolls back and releases the connection, even if cancelled.
                    raise
            # The commit released the connection: nothing is left to wait for.
            session.sync_session.close()
        except Exception as error:
            raise unavailable_if_outage(error) from error
        callbacks = session.info.pop("after_commit", ())
        session.__class__ = EndedSession
        for callback in callbacks:
            try:
                await callback()
            except Exception:  # noqa: BLE001 - the commit stands in any case
                await log.aexception("after_commit_failed")
        if kept is not None:
            raise kept

    async def ping(self) -> None:
        """Run a query on both engines; raise if one fails."""
        for engine in (self.writer, self.reader):
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close every pooled connection."""
        await self.writer.dispose()
        await self.reader.dispose()


OUTAGES = (OperationalError, InterfaceError, PoolTimeoutError, TimeoutError)
"""Errors with causes outside the program: no server, a full pool, a lock not granted in time."""

TRANSIENT_STATES = ("08", "40", "53", "57")
"""Classes of SQLSTATE after which a retry may succeed: connection, rollback, resources, operator intervention."""


def unavailable_if_outage(error: Exception) -> Exception:
    """Return `Unavailable` (503) if an error means that the database is unavailable, else the error itself."""
    if not isinstance(error, OUTAGES) and not _is_transient(error):
        return error
    log.warning("database_unavailable", error=repr(error))
    return Unavailable("The database is not available; try again later.")


def _is_transient(error: Exception) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    return error.connection_invalidated or (isinstance(state, str) and state.startswith(TRANSIENT_STATES))
