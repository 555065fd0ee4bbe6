"""Transactions, reads and outages, on the project's database."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Depends
from fastapi.responses import StreamingResponse
from httpx2 import AsyncClient
from sqlalchemy import Connection, event, func, select, text
from sqlalchemy.exc import DBAPIError, OperationalError

from keel.application import new_app
from keel.db.database import Database, ReadSession
from keel.dependencies import SessionDep
from keel.services import services_of
from keel.testing.support import connections_in_use, running
from keel.tests.application import create_app
from keel.tests.widgets.api import WIDGETS
from keel.tests.widgets.models import Label, Widget
from keel.web.errors import Unavailable

COUNT = select(func.count()).select_from(Label.__table__)


def label(name: str) -> Label:
    """Return a row to write."""
    return Label(name=name)


async def test_commit_at_the_end_of_the_block(database: Database) -> None:
    """Rows are stored after the block."""
    async with database.transaction() as session:
        session.add(label("a"))

    assert await database.read.scalar(COUNT) == 1


async def test_rollback_when_the_block_raises(database: Database) -> None:
    """Nothing is stored, and the caller gets the error."""
    with pytest.raises(LookupError):
        async with database.transaction() as session:
            session.add(label("a"))
            await session.flush()
            raise LookupError

    assert await database.read.scalar(COUNT) == 0


async def test_errors_hide_parameters(database: Database) -> None:
    """Errors end up in logs, so they must not contain values."""
    with pytest.raises(DBAPIError, match="parameters hidden"):
        async with database.transaction() as session:
            session.add_all([label("a"), label("a")])


async def test_after_commit(database: Database) -> None:
    """A callback sees committed rows; after a rollback it is not called."""
    seen: list[Any] = []

    async def look() -> None:
        seen.append(await database.read.scalar(COUNT))

    async with database.transaction() as session:
        session.after_commit(look)
        session.add(label("a"))
    with pytest.raises(LookupError):
        async with database.transaction() as session:
            session.after_commit(look)
            raise LookupError

    assert seen == [1]


async def test_advisory_lock(database: Database) -> None:
    """Ten transactions that read before they write see each other's writes."""

    async def add_one_more() -> None:
        async with database.transaction() as session:
            await session.advisory_lock("labels")
            count = (await session.scalars(select(func.count()).select_from(Label))).one()
            session.add(label(str(count)))

    await asyncio.gather(*(add_one_more() for _ in range(10)))

    names = await database.read.all(select(Label.name))
    assert {name for (name,) in names} == set(map(str, range(10)))


async def test_failing_after_commit(database: Database) -> None:
    """The transaction stays committed, and further callbacks are called."""
    called = []

    async def fail() -> None:
        raise ConnectionError

    async def succeed() -> None:
        called.append(True)

    async with database.transaction() as session:
        session.after_commit(fail)
        session.after_commit(succeed)
        session.add(label("a"))

    assert called == [True]
    assert await database.read.scalar(COUNT) == 1


async def test_reads_cannot_write(database: Database) -> None:
    """The database itself rejects writes on a read connection."""
    with pytest.raises((DBAPIError, Unavailable)):
        await database.read.all(text("INSERT INTO widget_labels (id, name) VALUES ('1', 'a') RETURNING id"))

    assert await database.read.scalar(COUNT) == 0


async def test_reads_hold_no_connection(database: Database) -> None:
    """Between two statements no connection is checked out, and rows outlive theirs."""
    async with database.transaction() as session:
        session.add_all([label("a"), label("b")])

    rows = await database.read.all(select(Label.__table__.c.name).order_by("name"))

    assert connections_in_use(database) == 0
    assert [row.name for row in rows] == ["a", "b"]
    assert (await database.read.first(select(Label.__table__.c.name).where(text("1 = 0")))) is None


async def test_cancelled_request_returns_its_connection(database: Database) -> None:
    """A client that disconnects midway leaks no connection."""
    writing = asyncio.Event()

    async def request() -> None:
        async with database.transaction() as session:
            session.add(label("a"))
            await session.flush()
            writing.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(request())
    await writing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert connections_in_use(database) == 0
    assert await database.read.scalar(COUNT) == 0


async def test_exhausted_pool_is_an_outage(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """If all connections are in use for too long, callers get 503."""
    pool = database.reader.pool
    monkeypatch.setattr(pool, "_timeout", 0.01)
    taken = [await database.reader.connect() for _ in range(pool.size())]  # ty: ignore[missing-attribute]
    try:
        with pytest.raises(Unavailable):
            await database.read.scalar(COUNT)
    finally:
        for connection in taken:
            await connection.close()


async def test_read_on_a_stale_connection_is_retried(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a database restart, reads succeed."""
    original, calls = ReadSession._run, []

    def stale_once(self: ReadSession, *arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1:
            raise OperationalError("SELECT", {}, Exception("closed"), connection_invalidated=True)
        return original(self, *arguments)

    monkeypatch.setattr(ReadSession, "_run", stale_once)

    assert await database.read.scalar(COUNT) == 0
    assert len(calls) == 2


@pytest.fixture
def failing_commit(database: Database) -> Iterator[None]:
    """Make commits fail, as if the connection broke."""

    def fail(connection: Connection) -> None:
        connection.invalidate()
        raise OperationalError("COMMIT", {}, Exception("connection lost"))

    event.listen(database.writer.sync_engine, "commit", fail)
    yield
    event.remove(database.writer.sync_engine, "commit", fail)


async def test_failed_commit_is_never_a_success(failing_commit: None, client: AsyncClient, database: Database) -> None:
    """The commit precedes the response, so a 2xx means that the data is stored."""
    answer = await client.post(WIDGETS, json={"title": "Lost"})

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert (await database.read.scalar(select(func.count()).select_from(Widget))) == 0


async def test_error_after_writing_rolls_back(database: Database) -> None:
    """A failing request stores nothing."""
    app = new_app()
    services_of(app).database = database

    @app.post("/write-and-fail")
    async def write_and_fail(session: SessionDep, _: Annotated[None, Depends(lambda: None)]) -> None:
        session.add(label("a"))
        await session.flush()
        raise RuntimeError

    async with running(app) as client:
        answer = await client.post("/write-and-fail")

    assert answer.status_code == 500
    assert await database.read.scalar(COUNT) == 0


async def test_other_errors_are_no_outage(database: Database) -> None:
    """An OSError of another kind is not reported as a database outage."""
    with pytest.raises(FileNotFoundError):
        async with database.transaction():
            raise FileNotFoundError


async def test_a_session_ends_with_its_transaction(database: Database) -> None:
    """Using it afterwards raises an error that says what to do, instead of losing what is added."""
    async with database.transaction() as session:
        session.add(label("a"))

    with pytest.raises(RuntimeError, match="DatabaseDep"):
        session.add(label("b"))
    with pytest.raises(RuntimeError, match="JobsDep"):
        await session.execute(COUNT)


async def _store_later(session: SessionDep, tasks: BackgroundTasks) -> None:
    tasks.add_task(session.add, label("a"))


async def _store_while_streaming(session: SessionDep) -> StreamingResponse:
    async def parts() -> AsyncIterator[str]:
        session.add(label("a"))
        yield "stored"

    return StreamingResponse(parts())


async def _store_between(session: SessionDep) -> AsyncIterable[str]:
    session.add(label("a"))
    yield "stored"


@pytest.mark.parametrize("endpoint", [_store_later, _store_while_streaming, _store_between])
async def test_session_use_after_the_response(
    database: Database, endpoint: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Background tasks and streams cannot use the request's session: they get an error, explained in the log."""
    app = create_app()
    app.get("/later")(endpoint)
    async with running(app) as client:
        with suppress(RuntimeError):  # As the server gets it, where the response has begun.
            assert (await client.get("/later")).status_code == 500

    assert "DatabaseDep" in capsys.readouterr().out
    assert await database.read.scalar(COUNT) == 0
