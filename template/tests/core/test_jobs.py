"""Work after the request."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from app.core.database import Database
from app.core.jobs import InProcessJobs


async def test_job_is_done_after_the_commit(database: Database) -> None:
    """Once the transaction is committed, and with what was enqueued."""
    jobs, done = InProcessJobs(), list[Mapping[str, Any]]()

    async def handle(payload: Mapping[str, Any]) -> None:
        done.append(payload)

    jobs.register("job", handle)
    async with database.transaction() as session:
        await jobs.enqueue(session, "job", {"number": 1})
        await asyncio.sleep(0)
        assert done == []
    await jobs.drain()

    assert done == [{"number": 1}]


async def test_job_of_a_failed_transaction_is_not_done(database: Database) -> None:
    """What did not happen has no consequences."""
    jobs, done = InProcessJobs(), []

    async def handle(_: Mapping[str, Any]) -> None:
        done.append(True)

    jobs.register("job", handle)
    with pytest.raises(LookupError):
        async with database.transaction() as session:
            await jobs.enqueue(session, "job", {})
            raise LookupError
    await jobs.drain()

    assert done == []


async def test_failing_job_is_tried_again(database: Database) -> None:
    """A few times, and then given up."""
    jobs, tries = InProcessJobs(attempts=3, pause=0), []

    async def handle(_: Mapping[str, Any]) -> None:
        tries.append(True)
        raise ConnectionError

    jobs.register("job", handle)
    async with database.transaction() as session:
        await jobs.enqueue(session, "job", {})
    await jobs.drain()

    assert len(tries) == 3


async def test_payload_must_be_json(database: Database) -> None:
    """What a queue could not carry is refused here already."""
    jobs = InProcessJobs()
    jobs.register("job", lambda _: asyncio.sleep(0))
    async with database.transaction() as session:
        with pytest.raises(TypeError):
            await jobs.enqueue(session, "job", {"it": object()})
