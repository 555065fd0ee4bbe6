"""Data that belongs to an account, which packages delete or transfer (the hook `account_data`)."""

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Protocol, runtime_checkable

from keel.db.database import Session


class AccountDataHandler(Protocol):
    """The rows of one package that belong to subjects."""

    async def delete(self, session: Session, subject: str) -> None:
        """Delete everything that belongs to a subject."""

    async def transfer_ownership(self, session: Session, old: str, new: str) -> None:
        """Transfer everything that belongs to a subject to another one."""


@runtime_checkable
class CreatesAccountData(Protocol):
    """A handler that also adds rows for each new account, such as a profile."""

    async def create(self, session: Session, subject: str, email: str) -> None:
        """Add the rows in the transaction that creates the account; an exception undoes both."""


class AccountData:
    """The rows of all packages that belong to subjects."""

    def __init__(self, load: Callable[[], Iterable[AccountDataHandler]] = tuple) -> None:
        """Take a factory of handlers, which is called on first use, since packages may still replace ports."""
        self._load = load

    @cached_property
    def _handlers(self) -> list[AccountDataHandler]:
        return list(self._load())

    async def create(self, session: Session, subject: str, email: str) -> None:
        """Let packages add their rows for a new account, within the session's transaction."""
        for handler in self._handlers:
            if isinstance(handler, CreatesAccountData):
                await handler.create(session, subject, email)

    async def delete(self, session: Session, subject: str) -> None:
        """Delete everything that belongs to a subject, within the session's transaction."""
        for handler in self._handlers:
            await handler.delete(session, subject)

    async def transfer_ownership(self, session: Session, old: str, new: str) -> None:
        """Transfer everything that belongs to a subject to another one, within the session's transaction."""
        for handler in self._handlers:
            await handler.transfer_ownership(session, old, new)
