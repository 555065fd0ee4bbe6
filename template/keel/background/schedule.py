"""Periodic work: scheduled jobs, and purges of expired rows.

A feature with a scheduler enqueues the jobs; without one, `python -m app schedule` does. `python -m app purge` purges.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keel.db.database import Database, Session

Purge = Callable[[Session], Awaitable[int]]
"""Deletes expired rows and returns how many."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A job, and when it runs."""

    job: str
    cron: str
    payload: Mapping[str, Any] = field(default_factory=dict)


class Schedule:
    """The entries that packages add."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.clock: str | None = None
        """The feature that enqueues them, if any."""

    def add(self, name: str, job: str, cron: str, payload: Mapping[str, Any] | None = None) -> None:
        """Run a job on a schedule.

        Args:
            name: the name of the entry, under which its last run is stored.
            job: a registered name.
            cron: minute, hour, day of the month, month, day of the week, in UTC, such as `0 6 * * *`.
            payload: the job's arguments.
        """
        self.entries[name] = Entry(job, cron, payload or {})


class Retention:
    """The purges that packages register."""

    def __init__(self) -> None:
        self._purges: dict[str, Purge] = {}

    def register(self, name: str, purge: Purge) -> None:
        """Register a purge under a name."""
        self._purges[name] = purge

    async def run(self, database: Database) -> dict[str, int]:
        """Run every purge, each in its own transaction; return how many rows each deleted."""
        deleted = {}
        for name, purge in self._purges.items():
            async with database.transaction() as session:
                deleted[name] = await purge(session)
        return deleted
