"""Doing a task: take it, show signs of life, finish it or say when it is tried again."""

import asyncio
import secrets
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import structlog

from keel import clock
from keel.background.job_context import Attempt, JobContext
from keel.celery import progress
from keel.celery.models import Task
from keel.celery.progress import Superseded
from keel.celery.run import Run, Work
from keel.celery.settings import WorkerSettings
from keel.celery.states import State
from keel.db.database import Database
from keel.web.errors import Unavailable

BEATS = 3
"""Signs of life within a lease."""

FAILED = "The task failed, and will not be tried again."
TRIED_IN_VAIN = "no process has survived it"

log = structlog.get_logger()


class Executor:
    """Does tasks, whichever process it is in."""

    def __init__(
        self,
        settings: WorkerSettings,
        job_context: JobContext,
        database: Callable[[], Database],
        find: Callable[[str], Work | None],
    ) -> None:
        """Do tasks by what `find` returns for their names."""
        self._settings = settings
        self._job_context = job_context
        self._database = database
        self._find = find

    async def run(self, task_id: UUID) -> float | None:
        """Do a task if it is to be had; return the seconds until it should be tried again, if it should.

        A message that comes twice, or late, finds nothing to do.

        Raises:
            Unavailable: the database is away; the relay announces the task again.
        """
        database = self._database()
        async with database.transaction() as session:
            task = await progress.claim(session, task_id, clock.now(), self._settings.lease)
        if task is None:
            await log.ainfo("task_not_to_be_had", task=str(task_id))
            return None
        if task.attempt > self._settings.attempts:
            return await self._failed(database, task, task.reason or TRIED_IN_VAIN)
        last = task.attempt == self._settings.attempts
        attempt = Attempt(task.name, str(task.id), task.attempt, last, task.created_at, task.headers)
        try:
            with self._job_context.attempting(attempt):
                await self._attempt(Run(database, task))
        except Superseded:
            return None
        except asyncio.CancelledError:
            # The process stops: another one need not wait until it is missed.
            await asyncio.shield(self._release(database, task))
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the next task must not suffer
            return await self._failed(database, task, repr(error))
        return None

    async def _attempt(self, run: Run) -> None:
        told = log.bind(task=str(run.id), name=run.name, attempt=run.attempt)
        try:
            await self._work(run)
        except Superseded:
            await told.ainfo("task_superseded")
            raise
        except Exception:
            await told.aexception("task_failed")
            raise
        await told.ainfo("task_done")

    async def _work(self, run: Run) -> None:
        work = self._find(run.name)
        if work is None:
            raise LookupError(f"nothing does tasks of the name {run.name!r}")

        async def limited() -> None:
            async with asyncio.timeout(self._settings.soft_limit):
                await work(run)

        working = asyncio.ensure_future(limited())
        living = asyncio.ensure_future(self._show_signs_of_life(run))
        try:
            await asyncio.wait({working, living}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            working.cancel()
            await asyncio.wait({working})
            living.result()
        finally:
            for task in (working, living):
                task.cancel()
            await asyncio.gather(working, living, return_exceptions=True)

    async def _show_signs_of_life(self, run: Run) -> None:
        """Renew the lease; return only by raising `Superseded`."""
        lease = self._settings.lease
        while True:
            await asyncio.sleep(lease / BEATS)
            try:
                async with run.database.transaction() as session:
                    due = clock.now() + timedelta(seconds=lease)
                    await progress.change(session, run.id, run.attempt, due_at=due)
            except Unavailable:
                # The task may still end well. If another process has taken it meanwhile, it ends in vain.
                await log.awarning("lease_not_renewed", task=str(run.id))

    async def _failed(self, database: Database, task: Task, reason: str) -> float | None:
        """Write that an attempt has failed; return the seconds until the next one."""
        settings, now = self._settings, clock.now()
        pause = min(settings.backoff * 2 ** (task.attempt - 1), settings.backoff_max)
        # Between half and all of it, so that what failed together does not come back together.
        pause *= 0.5 + secrets.randbelow(1000) / 2000
        try:
            async with database.transaction() as session:
                if task.attempt < settings.attempts:
                    due = now + timedelta(seconds=pause)
                    await progress.change(
                        session, task.id, task.attempt, state=State.PENDING, due_at=due, reason=reason[:1000]
                    )
                    return pause
                await progress.change(
                    session,
                    task.id,
                    task.attempt,
                    state=State.FAILED,
                    error=FAILED,
                    reason=reason[:1000],
                    due_at=None,
                    finished_at=now,
                )
                await progress.drop_chunks(session, task.id)
        except Superseded:
            return None
        await log.aerror("task_given_up", task=str(task.id), name=task.name, reason=reason)
        return None

    async def _release(self, database: Database, task: Task) -> None:
        try:
            async with database.transaction() as session:
                await progress.change(session, task.id, task.attempt, state=State.PENDING, due_at=clock.now())
        except (Superseded, Unavailable):
            return
