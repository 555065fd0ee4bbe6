"""Retention: rows that have served their time, deleted when an operator or a schedule says so."""

from collections.abc import Awaitable, Callable

from keel.db.database import Database, Session

Purge = Callable[[Session], Awaitable[int]]
"""Deletes what is too old and returns how many rows that were."""


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
