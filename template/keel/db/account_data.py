"""AccountData that go or change: packages say what happens to the rows that belong to them."""

from typing import Protocol

from keel.db.database import Session


class AccountDataHandler(Protocol):
    """A package's rows that belong to subjects."""

    async def delete(self, session: Session, subject: str) -> None:
        """Delete everything that belongs to a subject."""

    async def transfer_ownership(self, session: Session, old: str, new: str) -> None:
        """Give everything that belongs to a subject to another one."""


class AccountData:
    """Everything that belongs to subjects, in all packages."""

    def __init__(self) -> None:
        self._owned: list[AccountDataHandler] = []

    def register(self, rows: AccountDataHandler) -> None:
        """Say what a package does with its rows."""
        self._owned.append(rows)

    async def delete(self, session: Session, subject: str) -> None:
        """Delete everything that belongs to a subject, within the session's transaction."""
        for rows in self._owned:
            await rows.delete(session, subject)

    async def transfer_ownership(self, session: Session, old: str, new: str) -> None:
        """Give everything that belongs to a subject to another one, within the session's transaction."""
        for rows in self._owned:
            await rows.transfer_ownership(session, old, new)
