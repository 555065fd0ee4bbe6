"""Jobs: work that is done after a request, once what the request stored is committed.

The default does them in this process, as FastAPI's background tasks do: quickly, and lost if the process is killed. A
feature may put a durable queue in its place; whoever enqueues need not know.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Protocol

import orjson
import structlog
from fastapi import Depends
from fastapi.requests import HTTPConnection

from app.core.database import Session

Handler = Callable[[Mapping[str, Any]], Awaitable[None]]
"""Does a job; raises if it should be tried again."""

log = structlog.get_logger()


class Jobs(Protocol):
    """Where jobs are registered and enqueued."""

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

    def __init__(self, *, attempts: int = 3, pause: float = 1.0, grace: float = 10.0) -> None:
        """Try `attempts` times, `pause` seconds apart (doubling), and wait `grace` seconds for jobs at shutdown."""
        self._attempts = attempts
        self._pause = pause
        self._grace = grace
        self._handlers: dict[str, Handler] = {}
        self._running: set[asyncio.Task[None]] = set()

    def register(self, name: str, handler: Handler) -> None:
        """Say what does the jobs of a name."""
        self._handlers[name] = handler

    async def enqueue(self, session: Session, name: str, payload: Mapping[str, Any]) -> None:
        """Do a job once the session's transaction is committed; see `Jobs.enqueue`."""
        handler = self._handlers[name]
        # What cannot be sent elsewhere fails here and now, not on the day when a queue takes this place.
        carried = orjson.loads(orjson.dumps(payload))

        async def start() -> None:
            task = asyncio.create_task(self._do(name, handler, carried))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

        session.after_commit(start)

    async def _do(self, name: str, handler: Handler, payload: Mapping[str, Any]) -> None:
        for attempt in range(1, self._attempts + 1):
            try:
                await handler(payload)
            except Exception:  # noqa: BLE001 - whatever it is, the next job must not suffer
                await log.aexception("job_failed", job=name, attempt=attempt)
                await asyncio.sleep(self._pause * 2 ** (attempt - 1) if attempt < self._attempts else 0)
            else:
                return

    async def drain(self) -> None:
        """Wait for the jobs that are under way, and for those that they lead to."""
        end = time.monotonic() + self._grace
        while self._running and (left := end - time.monotonic()) > 0:
            await asyncio.wait(self._running, timeout=left)


async def get_jobs(connection: HTTPConnection) -> Jobs:
    """Return where the application enqueues jobs."""
    return connection.app.state.jobs


JobsDep = Annotated[Jobs, Depends(get_jobs)]
