"""Subjects that go or change: packages say what happens to the rows that belong to them."""

from typing import Protocol

from app.core.database import Session


class OwnedRows(Protocol):
    """A package's rows that belong to subjects."""

    async def delete(self, session: Session, subject: str) -> None:
        """Delete everything that belongs to a subject."""

    async def hand_over(self, session: Session, old: str, new: str) -> None:
        """Give everything that belongs to a subject to another one."""


class Subjects:
    """Everything that belongs to subjects, in all packages."""

    def __init__(self) -> None:
        self._owned: list[OwnedRows] = []

    def register(self, rows: OwnedRows) -> None:
        """Say what a package does with its rows."""
        self._owned.append(rows)

    async def delete(self, session: Session, subject: str) -> None:
        """Delete everything that belongs to a subject, within the session's transaction."""
        for rows in self._owned:
            await rows.delete(session, subject)

    async def hand_over(self, session: Session, old: str, new: str) -> None:
        """Give everything that belongs to a subject to another one, within the session's transaction."""
        for rows in self._owned:
            await rows.hand_over(session, old, new)
