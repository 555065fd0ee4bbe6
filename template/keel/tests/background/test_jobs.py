"""In-process jobs."""

import asyncio
from collections.abc import Generator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from keel.background.jobs import Attempt, InProcessJobs, JobContext
from keel.db.database import Database, Session


async def test_job_runs_after_the_commit(database: Database) -> None:
    """The job runs with its payload, once the transaction is committed."""
    jobs, done = InProcessJobs(lambda: database, JobContext()), list[Mapping[str, Any]]()

    async def handle(_: Session, payload: Mapping[str, Any]) -> None:
        done.append(payload)

    jobs.register("job", handle)
    async with database.transaction() as session:
        await jobs.enqueue(session, "job", {"number": 1})
        await asyncio.sleep(0)
        assert done == []
    await jobs.drain()

    assert done == [{"number": 1}]


async def test_job_of_a_failed_transaction_does_not_run(database: Database) -> None:
    """A rolled-back transaction enqueues nothing."""
    jobs, done = InProcessJobs(lambda: database, JobContext()), []

    async def handle(_: Session, __: Mapping[str, Any]) -> None:
        done.append(True)

    jobs.register("job", handle)
    with pytest.raises(LookupError):
        async with database.transaction() as session:
            await jobs.enqueue(session, "job", {})
            raise LookupError
    await jobs.drain()

    assert done == []


async def test_failing_job_is_retried(database: Database) -> None:
    """It is retried a few times, then given up."""
    jobs, tries = InProcessJobs(lambda: database, JobContext(), attempts=3, pause=0), []

    async def handle(_: Session, __: Mapping[str, Any]) -> None:
        tries.append(True)
        raise ConnectionError

    jobs.register("job", handle)
    async with database.transaction() as session:
        await jobs.enqueue(session, "job", {})
    await jobs.drain()

    assert len(tries) == 3


async def test_job_context(database: Database) -> None:
    """A job's log lines carry the id of the request that enqueued it; job contexts are called."""
    job_context = JobContext()
    watched: list[tuple[Attempt, bool]] = []

    class Watcher:
        def inject(self, headers: MutableMapping[str, str]) -> None:
            headers["mark"] = "x"

        @contextmanager
        def attempting(self, attempt: Attempt) -> Generator[None]:
            try:
                yield
            except ConnectionError:
                watched.append((attempt, False))
                raise
            watched.append((attempt, True))

    job_context.register(Watcher())
    jobs, bound = InProcessJobs(lambda: database, job_context, attempts=2, pause=0), []

    async def handle(_: Session, payload: Mapping[str, Any]) -> None:
        bound.append(dict(structlog.contextvars.get_contextvars()))
        if len(bound) == 1:
            raise ConnectionError

    jobs.register("job", handle)
    with structlog.contextvars.bound_contextvars(request_id="r", other="o"):
        async with database.transaction() as session:
            await jobs.enqueue(session, "job", {})
    await jobs.drain()

    assert bound == [{"request_id": "r"}] * 2
    assert [(attempt.number, attempt.last, done) for attempt, done in watched] == [(1, False, False), (2, True, True)]
    assert {(attempt.name, *attempt.headers.items()) for attempt, _ in watched} == {
        ("job", ("request_id", "r"), ("mark", "x"))
    }


async def test_payload_must_be_json(database: Database) -> None:
    """A payload that a queue could not store is refused on enqueueing."""
    jobs = InProcessJobs(lambda: database, JobContext())
    jobs.register("job", lambda *_: asyncio.sleep(0))
    async with database.transaction() as session:
        with pytest.raises(TypeError):
            await jobs.enqueue(session, "job", {"it": object()})


@pytest.mark.parametrize("patient", [False, True])
async def test_shutdown(database: Database, *, patient: bool) -> None:
    """Jobs that are unfinished at the end of the grace period are named in the log; a command waits for its jobs."""
    jobs, finish, done = InProcessJobs(lambda: database, JobContext(), grace=0), asyncio.Event(), []

    async def handle(_: Session, __: Mapping[str, Any]) -> None:
        await finish.wait()
        done.append(True)

    jobs.register("books.print", handle)
    async with database.transaction() as session:
        await jobs.enqueue(session, "books.print", {})
    if patient:
        asyncio.get_running_loop().call_soon(finish.set)
    with capture_logs() as logs:
        await jobs.drain(patient=patient)

    assert done == [True] * patient
    assert [line["jobs"] for line in logs if line["event"] == "jobs_dropped"] == [["books.print"]] * (not patient)
    finish.set()
    await jobs.drain(patient=True)
