"""The database, seen from a request: one transaction to write in, and a way to read without one.

Which engines stand behind it is the business of the package that the project has chosen for its database.
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
"""A row whose columns' types are not known; of a `select` that names its columns, rows are known."""
Parameters = Mapping[str, Any]
Fetch = Callable[[Result[Any]], T]
AfterCommit = Callable[[], Awaitable[None]]
AdvisoryLock = Callable[[AsyncSession, str], Awaitable[object]]

log = structlog.get_logger()


class _Reads:
    """How both sessions read."""

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
        request still succeeds: what it asked for is already stored.
        """
        self.info.setdefault("after_commit", []).append(callback)

    async def advisory_lock(self, name: str) -> None:
        """Go on only when no other transaction is under way that has taken its turn by this name.

        The others wait until this one ends, so what it reads and decides upon still holds when it commits.
        """
        await self.info["turns"](self, name)

    async def _fetch(self, statement: Executable, parameters: Parameters | None, fetch: Fetch[T]) -> T:
        return fetch(await self.execute(statement, parameters))


class EndedSession(Session):
    """What a session becomes with the end of its transaction: using it raises an error that says what to do."""

    def __getattribute__(self, name: str) -> Any:
        """Refuse.

        Raises:
            RuntimeError: always; nothing would be stored.
        """
        raise RuntimeError(
            "The transaction has ended, before the response was sent. What works after it, such as a background task or a "
            "stream, needs another one: take `DatabaseDep` and write `async with database.transaction() as session:`; or "
            "let a job do it (`JobsDep`). To read, take `ReadSessionDep`."
        )


class ReadSession(_Reads):
    """Reads, each statement on a connection of its own, outside any transaction.

    Nothing is held between statements, so a stream can keep one of these for hours. Connections come from an engine
    that cannot write: the database refuses.
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
            # The server closed a pooled connection, as it does when it restarts. All of them are renewed by now, and
            # a read can be repeated without harm.
            return await greenlet_spawn(self._run, statement, parameters, fetch)
        except Exception as error:
            raise unavailable_if_outage(error) from error

    def _run(self, statement: Executable, parameters: Parameters | None, fetch: Fetch[T]) -> T:
        """Connect, execute and close in one go: AsyncConnection would switch to SQLAlchemy's core for each of them."""
        with self._engine.sync_engine.connect() as connection:
            return fetch(connection.execute(statement, parameters))


class Database:
    """The engines, and what requests get from them."""

    def __init__(
        self, writer: AsyncEngine, reader: AsyncEngine, migrator: Callable[[], AsyncEngine], turns: AdvisoryLock
    ) -> None:
        """Take the engines, what makes one for migrations, and how transactions take turns; see `Session.advisory_lock`."""
        self.writer = writer
        self.reader = reader
        self.migrator = migrator
        self.read = ReadSession(reader)
        # `close_resets_only=False`: a session that was closed must not quietly open again and keep a connection.
        self._sessions = async_sessionmaker(
            writer, class_=Session, expire_on_commit=False, close_resets_only=False, info={"turns": turns}
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Session]:
        """Open a session, commit when the block ends, roll back when it raises.

        An error of ours that says so (`AppError.commit_on_error`) is raised again after the commit.

        Raises:
            Unavailable: the database cannot be reached, or gave up on the transaction; a later try may succeed.
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
                async with session:  # Rolls back and gives the connection back, even if cancelled meanwhile.
                    raise
            # The commit gave the connection back: nothing is left to wait for.
            session.sync_session.close()
        except Exception as error:
            raise unavailable_if_outage(error) from error
        callbacks = session.info.pop("after_commit", ())
        session.__class__ = EndedSession
        for callback in callbacks:
            try:
                await callback()
            except Exception:  # noqa: BLE001 - whatever it is, the commit stands
                await log.aexception("after_commit_failed")
        if kept is not None:
            raise kept

    async def ping(self) -> None:
        """Ask the database for an answer, on both engines."""
        for engine in (self.writer, self.reader):
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close every pooled connection."""
        await self.writer.dispose()
        await self.reader.dispose()


OUTAGES = (OperationalError, InterfaceError, PoolTimeoutError, TimeoutError)
"""What is raised for reasons outside the program: no server, a full pool, a lock not granted in time."""

TRANSIENT_STATES = ("08", "40", "53", "57")
"""Classes of SQLSTATE after which a later try may succeed: connection, rollback, resources, operator intervention."""


def unavailable_if_outage(error: Exception) -> Exception:
    """Return `Unavailable` (503) where an error says that the database is unavailable, else the error itself."""
    if not isinstance(error, OUTAGES) and not _is_transient(error):
        return error
    log.warning("database_unavailable", error=repr(error))
    return Unavailable("The database is not available at the moment.")


def _is_transient(error: Exception) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    return error.connection_invalidated or (isinstance(state, str) and state.startswith(TRANSIENT_STATES))
