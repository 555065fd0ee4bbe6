"""Jobs: work that is done after a request, once what the request stored is committed.

The default does them in this process, as FastAPI's background tasks do: quickly, and lost if the process is killed. A
feature may put a durable queue in its place; whoever enqueues need not know.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import replace
from typing import Any, Protocol
from uuid import uuid4

import orjson
import structlog

from keel import clock
from keel.background.asyncio_tasks import spawn
from keel.background.job_context import Attempt, JobContext
from keel.db.database import Database, Session

Handler = Callable[[Session, Mapping[str, Any]], Awaitable[None]]
"""Does a job within a transaction that is committed when it returns; raises if it should be tried again.

A durable queue records in the same transaction that the job is done: what the job stores is stored once, however often
it has to be begun.
"""

log = structlog.get_logger()


class Jobs(Protocol):
    """Where jobs are registered and enqueued."""

    handlers: MutableMapping[str, Handler]
    """What does the jobs, by their names."""

    def register(self, name: str, handler: Handler) -> None:
        """Say what does the jobs of a name."""

    async def enqueue(self, session: Session, name: str, payload: Mapping[str, Any]) -> None:
        """Do a job once the session's transaction is committed; never if it is not.

        Args:
            session: the transaction that the job belongs to.
            name: a registered name.
            payload: what the job needs to know, as JSON can carry it.
        """

    async def drain(self) -> None:
        """Wait, at shutdown, for what this process has begun."""


class InProcessJobs:
    """Jobs as tasks of this process, each tried a few times."""

    def __init__(
        self,
        database: Callable[[], Database],
        job_context: JobContext,
        *,
        attempts: int = 3,
        pause: float = 1.0,
        grace: float = 10.0,
    ) -> None:
        """Try `attempts` times, `pause` seconds apart (doubling), and wait `grace` seconds for jobs at shutdown."""
        self._database = database
        self._job_context = job_context
        self._attempts = attempts
        self._pause = pause
        self._grace = grace
        self.handlers: MutableMapping[str, Handler] = {}
        self._running: set[asyncio.Task[None]] = set()

    def register(self, name: str, handler: Handler) -> None:
        """Say what does the jobs of a name."""
        self.handlers[name] = handler

    async def enqueue(self, session: Session, name: str, payload: Mapping[str, Any]) -> None:
        """Do a job once the session's transaction is committed; see `Jobs.enqueue`."""
        handler = self.handlers[name]
        # What cannot be sent elsewhere fails here and now, not on the day when a queue takes this place.
        carried = orjson.loads(orjson.dumps(payload))
        first = Attempt(name, uuid4().hex, 1, last=False, asked_at=clock.now(), headers=self._job_context.headers())

        async def start() -> None:
            task = spawn(self._do(first, handler, carried))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

        session.after_commit(start)

    async def _do(self, first: Attempt, handler: Handler, payload: Mapping[str, Any]) -> None:
        for number in range(1, self._attempts + 1):
            attempt = replace(first, number=number, last=number == self._attempts)
            try:
                with self._job_context.attempting(attempt):
                    await self._try(attempt, handler, payload)
            except Exception:  # noqa: BLE001 - whatever it is, the next job must not suffer
                await asyncio.sleep(0 if attempt.last else self._pause * 2 ** (number - 1))
            else:
                return

    async def _try(self, attempt: Attempt, handler: Handler, payload: Mapping[str, Any]) -> None:
        try:
            async with self._database().transaction() as session:
                await handler(session, payload)
        except Exception:
            await log.aexception("job_failed", job=attempt.name, attempt=attempt.number)
            raise

    async def drain(self) -> None:
        """Wait for the jobs that are under way, and for those that they lead to."""
        end = time.monotonic() + self._grace
        while self._running and (left := end - time.monotonic()) > 0:
            await asyncio.wait(self._running, timeout=left)
