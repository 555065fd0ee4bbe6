"""Queries on logins and their refresh tokens."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update

from keel.auth.models import LoginSession, RefreshToken, User
from keel.db.database import Session


class SessionRepository:
    """Logins and their refresh tokens."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, login: LoginSession) -> None:
        """Store a new login."""
        self._session.add(login)
        await self._session.flush()

    def add_token(self, login_id: UUID, digest: bytes) -> None:
        """Store a refresh token of a login."""
        self._session.add(RefreshToken(digest=digest, session_id=login_id))

    async def use_token(self, digest: bytes, now: datetime) -> UUID | None:
        """Consume a refresh token; return its login. Of two concurrent attempts one succeeds."""
        statement = (
            update(RefreshToken)
            .where(RefreshToken.digest == digest, RefreshToken.used_at.is_(None))
            .values(used_at=now)
            .returning(RefreshToken.session_id)
        )
        return (await self._session.scalars(statement)).one_or_none()

    async def login_of(self, digest: bytes) -> UUID | None:
        """Return the login of a refresh token, used or not."""
        statement = select(RefreshToken.session_id).where(RefreshToken.digest == digest)
        return (await self._session.scalars(statement)).one_or_none()

    async def alive(self, login_id: UUID, now: datetime) -> tuple[LoginSession, User] | None:
        """Return a valid login and its user."""
        statement = (
            select(LoginSession, User)
            .join(User, User.id == LoginSession.user_id)
            .where(LoginSession.id == login_id, LoginSession.revoked_at.is_(None), LoginSession.expires_at > now)
        )
        row = (await self._session.execute(statement)).one_or_none()
        return (row[0], row[1]) if row else None

    async def of_user(self, user_id: UUID, now: datetime) -> Sequence[LoginSession]:
        """Return the valid logins of an account, most recently used first."""
        statement = (
            select(LoginSession)
            .where(LoginSession.user_id == user_id, LoginSession.revoked_at.is_(None), LoginSession.expires_at > now)
            .order_by(LoginSession.used_at.desc())
        )
        return (await self._session.scalars(statement)).all()

    async def revoke(self, login_id: UUID, now: datetime, user_id: UUID | None = None) -> bool:
        """End a login (of an account, if one is named); return False if there is no such login."""
        statement = update(LoginSession).where(LoginSession.id == login_id, LoginSession.revoked_at.is_(None))
        if user_id is not None:
            statement = statement.where(LoginSession.user_id == user_id)
        ended = await self._session.scalars(statement.values(revoked_at=now).returning(LoginSession.id))
        return ended.one_or_none() is not None

    async def revoke_all(self, user_id: UUID, now: datetime, keep: UUID | None = None) -> None:
        """End every login of an account but one."""
        statement = update(LoginSession).where(LoginSession.user_id == user_id, LoginSession.revoked_at.is_(None))
        if keep is not None:
            statement = statement.where(LoginSession.id != keep)
        await self._session.execute(statement.values(revoked_at=now))

    async def purge(self, now: datetime) -> int:
        """Delete expired logins with their tokens; return how many."""
        result: Any = await self._session.execute(delete(LoginSession).where(LoginSession.expires_at <= now))
        return result.rowcount
