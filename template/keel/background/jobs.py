"""Jobs: work that runs after a request, once its transaction is committed.

The default runs them in this process, like FastAPI's background tasks: they are lost if the process is killed. A feature
may replace it with a durable queue; callers need no change.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, MutableMapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol
from uuid import uuid4

import orjson
import structlog

from keel import clock
from keel.background.asyncio_tasks import spawn
from keel.db.database import Database, Session

Handler = Callable[[Session, Mapping[str, Any]], Awaitable[None]]
"""Runs a job in a transaction that is committed when it returns; if it raises, the job is retried.

A durable queue marks the job as done in the same transaction, so its effect is stored once, however many attempts
there are.
"""

REQUEST_ID = "request_id"

log = structlog.get_logger()


class Jobs(Protocol):
    """Registers handlers and enqueues jobs."""

    handlers: MutableMapping[str, Handler]
    """Handlers by job name."""

    def register(self, name: str, handler: Handler) -> None:
        """Register the handler of a job."""

    async def enqueue(self, session: Session, name: str, payload: Mapping[str, Any]) -> None:
        """Run a job once the session's transaction is committed; never if it is rolled back.

        Args:
            session: the transaction that the job belongs to.
            name: a registered name.
            payload: the arguments, JSON-serialisable.
        """

    async def drain(self, *, patient: bool = False) -> None:
        """Wait for running jobs: for some seconds at shutdown, or if `patient`, until all are done, as commands do."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt at a job: its name, an id that all attempts share, and the headers sent with it."""

    name: str
    id: str
    number: int
    """1 for the first attempt."""

    last: bool
    """Whether there is no further attempt if this one fails."""

    asked_at: datetime
    headers: Mapping[str, str]


class Propagator(Protocol):
    """Passes context from the code that enqueues a job to its attempts."""

    def inject(self, headers: MutableMapping[str, str]) -> None:
        """Add headers to a job that is being enqueued."""

    def attempting(self, attempt: Attempt) -> AbstractContextManager[object]:
        """Return a context manager for an attempt and its log lines; it must let errors propagate."""
        ...


class JobContext:
    """The context sent with jobs: the request id, which links the log lines of both, and what propagators add."""

    def __init__(self) -> None:
        self._propagators: list[Propagator] = []

    def register(self, propagator: Propagator) -> None:
        """Add a propagator, such as for traces."""
        self._propagators.append(propagator)

    def headers(self) -> dict[str, str]:
        """Return the headers for a job that is being enqueued."""
        request_id = structlog.contextvars.get_contextvars().get(REQUEST_ID)
        headers = {REQUEST_ID: request_id} if request_id else {}
        for propagator in self._propagators:
            propagator.inject(headers)
        return headers

    @contextmanager
    def attempting(self, attempt: Attempt) -> Generator[None]:
        """Restore the context for an attempt: log lines carry the request's id and nothing else."""
        before = structlog.contextvars.get_contextvars()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(**{k: v for k, v in attempt.headers.items() if k == REQUEST_ID})
        try:
            with ExitStack() as stack:
                for propagator in self._propagators:
                    stack.enter_context(propagator.attempting(attempt))
                yield
        finally:
            structlog.contextvars.clear_contextvars()
            structlog.contextvars.bind_contextvars(**before)


class InProcessJobs:
    """Jobs as asyncio tasks of this process, with retries."""

    def __init__(
        self,
        database: Callable[[], Database],
        job_context: JobContext,
        *,
        attempts: int = 3,
        pause: float = 1.0,
        grace: float = 10.0,
    ) -> None:
        """Attempt each job `attempts` times, `pause` seconds apart (doubling); wait `grace` seconds at shutdown."""
        self._database = database
        self._job_context = job_context
        self._attempts = attempts
        self._pause = pause
        self._grace = grace
        self.handlers: MutableMapping[str, Handler] = {}
        self._running: set[asyncio.Task[None]] = set()

    def register(self, name: str, handler: Handler) -> None:
        """Register the handler of a job."""
        self.handlers[name] = handler

    async def enqueue(self, session: Session, name: str, payload: Mapping[str, Any]) -> None:
        """Run a job once the session's transaction is committed; see `Jobs.enqueue`."""
        handler = self.handlers[name]
        # Fail for an unserialisable payload here too, not only once a durable queue is used.
        carried = orjson.loads(orjson.dumps(payload))
        first = Attempt(name, uuid4().hex, 1, last=False, asked_at=clock.now(), headers=self._job_context.headers())

        async def start() -> None:
            task = spawn(self._do(first, handler, carried))
            task.set_name(name)
            self._running.add(task)
            task.add_done_callback(self._running.discard)

        session.after_commit(start)

    async def _do(self, first: Attempt, handler: Handler, payload: Mapping[str, Any]) -> None:
        for number in range(1, self._attempts + 1):
            attempt = replace(first, number=number, last=number == self._attempts)
            try:
                with self._job_context.attempting(attempt):
                    await self._try(attempt, handler, payload)
            except Exception:  # noqa: BLE001 - no error may affect the next job
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

    async def drain(self, *, patient: bool = False) -> None:
        """Wait for running jobs and for those that they enqueue."""
        end = time.monotonic() + self._grace
        while self._running and (patient or time.monotonic() < end):
            await asyncio.wait(self._running, timeout=None if patient else end - time.monotonic())
        if self._running:
            await log.aerror("jobs_dropped", jobs=sorted(task.get_name() for task in self._running))
