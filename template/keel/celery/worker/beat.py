"""Celery's beat: enqueues scheduled jobs, and runs the relay. Of several beats, the holder of a lease is active."""

import os
import secrets
import socket
from datetime import datetime
from typing import Any

import structlog
from celery.beat import Scheduler
from celery.schedules import crontab

from keel.celery.services import CeleryServices
from keel.celery.tasks import leases, schedule
from keel.celery.tasks.jobs import new_task
from keel.celery.tasks.relay import Relay
from keel.celery.worker import heartbeat
from keel.celery.worker.app import WorkerApp
from keel.db.database import Database
from keel.services import Services, services_of

LEASE = 15.0
"""Seconds without a tick after which another beat takes over."""

TICK = 1.0
"""Seconds between ticks."""

log = structlog.get_logger()


class UnknownJob(Exception):
    """The schedule names a job that is not registered."""


class LeasedScheduler(Scheduler):
    """A scheduler that stores tasks as rows, once per time of an entry.

    An entry's `task` is the name of a job, its `kwargs` the payload.
    """

    app: WorkerApp
    max_interval = TICK

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._up_to_date = False
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        """Load the application's schedule and Celery's own.

        Raises:
            UnknownJob: it names a job that is not registered.
        """
        self.merge_inplace(
            {
                name: {"task": entry.job, "schedule": crontab.from_string(entry.cron), "kwargs": dict(entry.payload)}
                for name, entry in self._services().schedule.entries.items()
            }
        )
        self.update_from_dict(self.app.conf.beat_schedule)
        for entry in self.schedule.values():
            if self._celery().jobs.find_handler(str(entry.task)) is None:
                raise UnknownJob(f"{entry.name}: no job named {entry.task!r} is registered")

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Relay due tasks, then enqueue scheduled jobs; return the seconds until the next tick."""
        try:
            heartbeat.touch()
            database, runtime = self._database(), self.app.runtime.get()
            if not runtime.run(leases.acquire(database, leases.BEAT, self._holder, LEASE)):
                self._up_to_date = False
                return TICK
            runtime.run(Relay(database, self._celery().jobs.publisher).run())
            self._load_last_runs()
            return min(super().tick(*args, **kwargs), TICK)
        except Exception:
            # For example, the database does not answer; the next tick tries again.
            log.exception("beat_failed")
            return TICK

    def apply_async(self, entry: Any, *_: Any, **__: Any) -> None:
        """Store the task of an entry, unless another beat has done so."""
        # Celery counts the entry as run in any case; if storing it fails, the last runs are loaded again.
        self._up_to_date = False
        self._up_to_date = self.app.runtime.get().run(self._enqueue(entry, self.schedule[entry.name].last_run_at))

    def close(self) -> None:
        """Release the lease, so that another beat takes over at once."""
        super().close()
        self.app.runtime.get().run(leases.release(self._database(), leases.BEAT, self._holder))
        self.app.runtime.close()

    def _load_last_runs(self) -> None:
        """Load the runs of other beats while this one was inactive."""
        if self._up_to_date:
            return
        last_runs = self.app.runtime.get().run(
            schedule.load_last_runs(self._database(), list(self.schedule), self.app.now())
        )
        for entry in self.schedule.values():
            entry.last_run_at = last_runs[entry.name]
        self._heap = None
        self._up_to_date = True

    async def _enqueue(self, entry: Any, now: datetime) -> bool:
        async with self._database().transaction() as session:
            if recorded := await schedule.record_run(session, entry.name, entry.last_run_at, now):
                await self._celery().jobs.add(session, new_task(entry.task, entry.kwargs))
        return recorded

    def _services(self) -> Services:
        return services_of(self.app.runtime.get().app)

    def _celery(self) -> CeleryServices:
        return self._services().celery

    def _database(self) -> Database:
        return self._services().database
