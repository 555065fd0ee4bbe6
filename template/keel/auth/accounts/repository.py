"""Queries on accounts and mailed tokens."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, delete, select, tuple_
from sqlalchemy.exc import IntegrityError

from keel.auth.models import DeletedAccount, MailedToken, User
from keel.db.database import ReadSession, Session


async def email_of(session: Session | ReadSession, subject: str) -> str | None:
    """Return the e-mail address of a subject; None if it has no account."""
    return await session.scalar(select(User.email).where(User.subject == subject))


async def standing_of(session: ReadSession, subject: str) -> Row[bool, bool] | None:
    """Return `is_active` and `is_admin` of a subject's account, or None."""
    return await session.first(_STANDING, {"subject": subject})


_STANDING = select(User.is_active, User.is_admin).where(User.subject == bindparam("subject"))


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
        """Return the current state of an account, locked until the transaction ends."""
        return await self._session.get(User, user_id, with_for_update=True, populate_existing=True)

    async def page(self, q: str | None, limit: int, after: tuple[datetime, UUID] | None) -> Sequence[User]:
        """Return accounts whose address contains `q`, newest first."""
        statement = select(User).order_by(User.created_at.desc(), User.id.desc()).limit(limit)
        if q:
            statement = statement.where(User.email.contains(q.lower(), autoescape=True))
        if after:
            statement = statement.where(tuple_(User.created_at, User.id) < after)
        return (await self._session.scalars(statement)).all()

    async def is_last_admin(self, user: User) -> bool:
        """Whether an account is the only active administrator. Transactions that ask are serialised by a lock."""
        if not (user.is_admin and user.is_active):
            return False
        await self._session.advisory_lock("auth administrators")
        others = select(User.id).where(User.is_admin, User.is_active, User.id != user.id).limit(1)
        return (await self._session.scalars(others)).one_or_none() is None

    async def delete(self, user: User, now: datetime) -> None:
        """Delete an account, with its sessions and tokens; its subject is kept until `forget_deleted`."""
        await self._session.execute(delete(User).where(User.id == user.id))
        self._session.add(DeletedAccount(subject=user.subject, deleted_at=now))

    async def forget_deleted(self, before: datetime) -> Sequence[str]:
        """Forget the accounts that were deleted before a time; return their subjects."""
        forgotten = delete(DeletedAccount).where(DeletedAccount.deleted_at < before).returning(DeletedAccount.subject)
        return (await self._session.scalars(forgotten)).all()


class MailedTokenRepository:
    """Tokens sent by mail."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def replace(self, user: User, purpose: str, digest: bytes, expires_at: datetime) -> None:
        """Store a token; it replaces earlier ones for the same purpose."""
        await self._session.execute(
            delete(MailedToken).where(MailedToken.user_id == user.id, MailedToken.purpose == purpose)
        )
        self._session.add(MailedToken(digest=digest, user_id=user.id, purpose=purpose, expires_at=expires_at))

    async def address_of(self, digest: bytes, purpose: str, now: datetime) -> str | None:
        """Return the address that a valid token was sent to; it can still be used."""
        statement = (
            select(User.email)
            .join(MailedToken, MailedToken.user_id == User.id)
            .where(MailedToken.digest == digest, MailedToken.purpose == purpose, MailedToken.expires_at > now)
        )
        return (await self._session.scalars(statement)).one_or_none()

    async def use(self, digest: bytes, purpose: str, now: datetime) -> UUID | None:
        """Consume a token; return its user's id if it was valid. Of two concurrent attempts one succeeds."""
        statement = (
            delete(MailedToken)
            .where(MailedToken.digest == digest, MailedToken.purpose == purpose, MailedToken.expires_at > now)
            .returning(MailedToken.user_id)
        )
        return (await self._session.scalars(statement)).one_or_none()

    async def purge(self, now: datetime) -> int:
        """Delete expired tokens; return how many."""
        result: Any = await self._session.execute(delete(MailedToken).where(MailedToken.expires_at <= now))
        return result.rowcount
