"""Celery's beat: asks for scheduled tasks at their moments, and runs the relay. Of several, one is at work."""

import os
import secrets
import socket
from datetime import datetime
from typing import Any

import structlog
from celery.beat import Scheduler
from celery.schedules import crontab

from keel.celery import alive, leases, schedule
from keel.celery.celery import runtime
from keel.celery.jobs import new_task
from keel.celery.relay import Relay
from keel.celery.state import Worker
from keel.db.database import Database
from keel.services import services_of

LEASE = 15.0
"""Seconds after which another beat takes over from one that says nothing."""

TICK = 1.0

log = structlog.get_logger()


class UnknownJob(Exception):
    """The schedule names a job that nobody has registered."""


class LeasedScheduler(Scheduler):
    """A schedule that asks for tasks by their rows, once for each moment; messages follow from that.

    An entry's `task` is the name of a job, its `kwargs` are the payload.
    """

    max_interval = TICK

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._at_work = False
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        """Take the schedule of the application, and Celery's own.

        Raises:
            UnknownJob: it names a job that nobody has registered.
        """
        entries = self._worker().schedule.entries
        self.merge_inplace(
            {
                name: {"task": entry.job, "schedule": crontab.from_string(entry.cron), "kwargs": dict(entry.payload)}
                for name, entry in entries.items()
            }
        )
        self.update_from_dict(self.app.conf.beat_schedule)
        for entry in self.schedule.values():
            if self._worker().jobs.find(str(entry.task)) is None:
                raise UnknownJob(f"{entry.name}: there is no job of the name {entry.task!r}")

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Relay what is due, then ask for what the schedule says; return the seconds until the next tick."""
        try:
            alive.show()
            database = self._database()
            if not runtime.get().run(leases.acquire(database, leases.BEAT, self._holder, LEASE)):
                self._at_work = False
                return TICK
            runtime.get().run(Relay(database, self._worker().jobs.announcer).run())
            self._recall()
            return min(super().tick(*args, **kwargs), TICK)
        except Exception:
            # A database that is away comes back.
            log.exception("beat_failed")
            return TICK

    def apply_async(self, entry: Any, *_: Any, **__: Any) -> None:
        """Store the task that an entry asks for, unless another beat has done so."""
        # Until it is known to be stored, the entry is as due as the database says; Celery takes it for done.
        self._at_work = False
        self._at_work = runtime.get().run(self._ask(entry, self.schedule[entry.name].last_run_at))

    def close(self) -> None:
        """Let another beat take over at once."""
        super().close()
        runtime.get().run(leases.release(self._database(), leases.BEAT, self._holder))
        runtime.close()

    def _recall(self) -> None:
        """Learn what other processes have asked for while this one was not at work."""
        if self._at_work:
            return
        moments = runtime.get().run(schedule.recall(self._database(), list(self.schedule), self.app.now()))
        for entry in self.schedule.values():
            entry.last_run_at = moments[entry.name]
        self._heap = None
        self._at_work = True

    async def _ask(self, entry: Any, now: datetime) -> bool:
        async with self._database().transaction() as session:
            if asked := await schedule.advance(session, entry.name, entry.last_run_at, now):
                await self._worker().jobs.add(session, new_task(entry.task, entry.kwargs))
        return asked

    def _worker(self) -> Worker:
        return Worker.of(runtime.get().app)

    def _database(self) -> Database:
        return services_of(runtime.get().app).database
