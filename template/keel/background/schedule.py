"""The schedule: which jobs run when. A feature that has a clock enqueues them; without one, `python -m app schedule` does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
