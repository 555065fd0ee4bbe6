"""Queries on identities and sign-in codes."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from keel.auth.models import Identity, SignInCode, User
from keel.db.database import Session


class IdentityRepository:
    """Identities at providers."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def owner(self, issuer: str, provider_subject: str) -> User | None:
        """Return the user of an identity."""
        statement = (
            select(User)
            .join(Identity, Identity.user_id == User.id)
            .where(Identity.issuer == issuer, Identity.provider_subject == provider_subject)
        )
        return (await self._session.scalars(statement)).one_or_none()

    async def add(self, identity: Identity) -> bool:
        """Store an identity; return False if it exists."""
        try:
            async with self._session.begin_nested():
                self._session.add(identity)
        except IntegrityError:
            return False
        return True


class SignInCodeRepository:
    """Codes that have not been exchanged yet."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, code: SignInCode) -> None:
        """Store a code."""
        self._session.add(code)

    async def use(self, digest: bytes, now: datetime) -> tuple[UUID, str] | None:
        """Consume a code; return its user's id and its challenge. Of two concurrent attempts one succeeds."""
        statement = (
            delete(SignInCode)
            .where(SignInCode.digest == digest, SignInCode.expires_at > now)
            .returning(SignInCode.user_id, SignInCode.challenge)
        )
        row = (await self._session.execute(statement)).one_or_none()
        return (row[0], row[1]) if row else None

    async def purge(self, now: datetime) -> int:
        """Delete expired codes; return how many."""
        result: Any = await self._session.execute(delete(SignInCode).where(SignInCode.expires_at <= now))
        return result.rowcount
