"""What is done from time to time: jobs at certain times, and purges of rows that have served their time.

A feature that has a clock enqueues the jobs; without one, `python -m app schedule` does. `python -m app purge` purges.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keel.db.database import Database, Session

Purge = Callable[[Session], Awaitable[int]]
"""Deletes what is too old and returns how many rows that were."""


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
        """What enqueues them, where a feature does."""

    def add(self, name: str, job: str, cron: str, payload: Mapping[str, Any] | None = None) -> None:
        """Run a job at certain times.

        Args:
            name: the entry's own, under which its last run is stored.
            job: a registered name.
            cron: minute, hour, day of the month, month, day of the week, in UTC, such as `0 6 * * *`.
            payload: the job's.
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
        """Run every purge, each in a transaction of its own; return how many rows each deleted."""
        deleted = {}
        for name, purge in self._purges.items():
            async with database.transaction() as session:
                deleted[name] = await purge(session)
        return deleted
