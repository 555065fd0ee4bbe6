"""Running a task: claim it, renew its lease, store its outcome or the time of the next attempt."""

import asyncio
import secrets
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import structlog

from keel import clock
from keel.background.jobs import Attempt, JobContext
from keel.celery.enums import TaskState
from keel.celery.models import Task
from keel.celery.settings import CelerySettings
from keel.celery.tasks import progress
from keel.celery.tasks.context import TaskContext, TaskHandler
from keel.celery.tasks.progress import Superseded
from keel.db.database import Database
from keel.web.errors import Unavailable

RENEWALS = 3
"""Renewals of a lease within its duration."""

FAILED = "The task failed, and will not be retried."
PROCESS_DIED = "the process of each attempt died"

log = structlog.get_logger()


class Executor:
    """Runs tasks, in workers and, without a broker, in the server."""

    def __init__(
        self,
        settings: CelerySettings,
        job_context: JobContext,
        database: Callable[[], Database],
        find_handler: Callable[[str], TaskHandler | None],
    ) -> None:
        self._settings = settings
        self._job_context = job_context
        self._database = database
        self._find_handler = find_handler

    async def run(self, task_id: UUID) -> float | None:
        """Run a task unless it is claimed or finished; return the seconds until its next attempt, if any.

        So a late or duplicate message has no effect.

        Raises:
            Unavailable: the database did not answer; the relay publishes the task again.
        """
        database = self._database()
        async with database.transaction() as session:
            task = await progress.claim(session, task_id, clock.now(), self._settings.lease)
        if task is None:
            await log.ainfo("task_already_claimed", task=str(task_id))
            return None
        if task.attempt > self._settings.max_attempts:
            return await self._failed(database, task, task.last_error or PROCESS_DIED)
        last = task.attempt == self._settings.max_attempts
        attempt = Attempt(task.name, str(task.id), task.attempt, last, task.created_at, task.headers)
        try:
            with self._job_context.attempting(attempt):
                await self._attempt(TaskContext(database, task))
        except Superseded:
            return None
        except asyncio.CancelledError:
            # The process stops: another one need not wait for the lease to expire.
            await asyncio.shield(self._release(database, task))
            raise
        except Exception as error:  # noqa: BLE001 - a handler's error is stored, and never ends the worker
            return await self._failed(database, task, repr(error))
        return None

    async def _attempt(self, task: TaskContext) -> None:
        bound = log.bind(task=str(task.id), name=task.name, attempt=task.attempt)
        try:
            await self._handle(task)
        except Superseded:
            await bound.ainfo("task_superseded")
            raise
        except Exception:
            await bound.aexception("task_attempt_failed")
            raise
        await bound.ainfo("task_succeeded")

    async def _handle(self, task: TaskContext) -> None:
        handler = self._find_handler(task.name)
        if handler is None:
            raise LookupError(f"no handler is registered for {task.name!r}")

        async def limited() -> None:
            async with asyncio.timeout(self._settings.soft_time_limit):
                await handler(task)

        handling = asyncio.ensure_future(limited())
        renewing = asyncio.ensure_future(self._renew_lease(task))
        try:
            await asyncio.wait({handling, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if handling.done():
                return handling.result()
            handling.cancel()
            await asyncio.wait({handling})
            renewing.result()
        finally:
            for each in (handling, renewing):
                each.cancel()
            await asyncio.gather(handling, renewing, return_exceptions=True)

    async def _renew_lease(self, task: TaskContext) -> None:
        """Renew the lease periodically; end only by raising `Superseded`."""
        lease = self._settings.lease
        while True:
            await asyncio.sleep(lease / RENEWALS)
            try:
                async with task.database.transaction() as session:
                    due = clock.now() + timedelta(seconds=lease)
                    await progress.change(session, task.id, task.attempt, due_at=due)
            except Unavailable:
                # The attempt may still succeed. If another process has claimed the task meanwhile, it is superseded.
                await log.awarning("lease_not_renewed", task=str(task.id))

    async def _failed(self, database: Database, task: Task, error: str) -> float | None:
        """Store that an attempt has failed; return the seconds until the next one, if any."""
        settings, now = self._settings, clock.now()
        pause = min(settings.retry_backoff * 2 ** (task.attempt - 1), settings.retry_backoff_max)
        # Jitter between half and all of the pause: tasks that failed together are not retried together.
        pause *= 0.5 + secrets.randbelow(1000) / 2000
        try:
            async with database.transaction() as session:
                if task.attempt < settings.max_attempts:
                    due = now + timedelta(seconds=pause)
                    await progress.change(
                        session, task.id, task.attempt, state=TaskState.PENDING, due_at=due, last_error=error[:1000]
                    )
                    return pause
                await progress.change(
                    session,
                    task.id,
                    task.attempt,
                    state=TaskState.FAILED,
                    error=FAILED,
                    last_error=error[:1000],
                    due_at=None,
                    finished_at=now,
                )
                await progress.delete_chunks(session, task.id)
        except Superseded:
            return None
        await log.aerror("task_failed", task=str(task.id), name=task.name, error=error)
        return None

    async def _release(self, database: Database, task: Task) -> None:
        try:
            async with database.transaction() as session:
                await progress.change(session, task.id, task.attempt, state=TaskState.PENDING, due_at=clock.now())
        except (Superseded, Unavailable):
            return
