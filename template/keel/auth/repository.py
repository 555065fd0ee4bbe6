"""Queries on accounts, sessions and tokens. Nothing here decides anything."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from keel.auth.models import LoginSession, MailedToken, RefreshToken, User
from keel.db.database import Session


class UserRepository:
    """Accounts."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, user: User) -> bool:
        """Store a new account; return False if its address is taken."""
        try:
            async with self._session.begin_nested():
                self._session.add(user)
        except IntegrityError:
            return False
        return True

    async def by_email(self, email: str) -> User | None:
        """Return the account of an address."""
        return (await self._session.scalars(select(User).where(User.email == email))).one_or_none()

    async def by_subject(self, subject: str) -> User | None:
        """Return the account of a subject."""
        return (await self._session.scalars(select(User).where(User.subject == subject))).one_or_none()

    async def by_id(self, user_id: UUID) -> User | None:
        """Return an account, locked until the transaction ends."""
        return await self._session.get(User, user_id, with_for_update=True)

    async def page(self, q: str | None, limit: int, after: tuple[datetime, UUID] | None) -> Sequence[User]:
        """Return accounts whose address contains `q`, the newest first."""
        statement = select(User).order_by(User.created_at.desc(), User.id.desc()).limit(limit)
        if q:
            statement = statement.where(User.email.contains(q.lower(), autoescape=True))
        if after:
            statement = statement.where(tuple_(User.created_at, User.id) < after)
        return (await self._session.scalars(statement)).all()

    async def count_admins(self) -> int:
        """Return how many active administrators there are."""
        statement = select(func.count()).select_from(User).where(User.is_admin, User.is_active)
        return (await self._session.scalars(statement)).one()

    async def delete(self, user: User) -> None:
        """Remove an account; its sessions and tokens go with it."""
        await self._session.execute(delete(User).where(User.id == user.id))


class MailedTokenRepository:
    """Tokens that were sent by mail."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def replace(self, user: User, purpose: str, digest: bytes, expires_at: datetime) -> None:
        """Store a token; those sent before for the same purpose are worth nothing from now on."""
        await self._session.execute(
            delete(MailedToken).where(MailedToken.user_id == user.id, MailedToken.purpose == purpose)
        )
        self._session.add(MailedToken(digest=digest, user_id=user.id, purpose=purpose, expires_at=expires_at))

    async def use(self, digest: bytes, purpose: str, now: datetime) -> UUID | None:
        """Use a token up; return whose it was if it was still valid. Of two who try at once, one succeeds."""
        statement = (
            delete(MailedToken)
            .where(MailedToken.digest == digest, MailedToken.purpose == purpose, MailedToken.expires_at > now)
            .returning(MailedToken.user_id)
        )
        return (await self._session.scalars(statement)).one_or_none()

    async def purge(self, now: datetime) -> int:
        """Delete tokens that are too old."""
        result: Any = await self._session.execute(delete(MailedToken).where(MailedToken.expires_at <= now))
        return result.rowcount


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
        """Use a refresh token up; return its login. Of two who try at once, one succeeds."""
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
        """Return a login that is valid, and whose it is."""
        statement = (
            select(LoginSession, User)
            .join(User, User.id == LoginSession.user_id)
            .where(LoginSession.id == login_id, LoginSession.revoked_at.is_(None), LoginSession.expires_at > now)
        )
        row = (await self._session.execute(statement)).one_or_none()
        return (row[0], row[1]) if row else None

    async def of_user(self, user_id: UUID, now: datetime) -> Sequence[LoginSession]:
        """Return the valid logins of an account, the last used first."""
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
        """Delete logins that are over; their tokens go with them."""
        result: Any = await self._session.execute(delete(LoginSession).where(LoginSession.expires_at <= now))
        return result.rowcount
