"""Queries on personal access tokens."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, func, select, update

from keel.auth.models import PersonalToken, User
from keel.db.database import AnyRow, ReadSession, Session

_tokens, _users = PersonalToken.__table__, User.__table__

# Built once: it runs for every request with a personal token.
_VALID = (
    select(
        _tokens.c.id,
        _tokens.c.scope,
        _tokens.c.last_used_at,
        _users.c.subject,
        _users.c.is_admin,
    )
    .select_from(_tokens.join(_users))
    .where(
        _tokens.c.digest == bindparam("digest"),
        _tokens.c.expires_at > bindparam("now", type_=_tokens.c.expires_at.type),
        _users.c.is_active,
    )
)


class PersonalTokenReader:
    """Looks up tokens for verification."""

    def __init__(self, session: ReadSession) -> None:
        self._session = session

    async def valid(self, digest: bytes, now: datetime) -> AnyRow | None:
        """Return a valid token of an active account, with its user's columns."""
        return await self._session.first(_VALID, {"digest": digest, "now": now})


class PersonalTokenRepository:
    """Changes tokens, within a transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, token: PersonalToken) -> None:
        """Store a new token."""
        self._session.add(token)
        await self._session.flush()

    async def of_user(self, user_id: UUID, now: datetime) -> Sequence[PersonalToken]:
        """Return the unexpired tokens of an account, newest first."""
        statement = (
            select(PersonalToken)
            .where(PersonalToken.user_id == user_id, PersonalToken.expires_at > now)
            .order_by(PersonalToken.created_at.desc(), PersonalToken.id.desc())
        )
        return (await self._session.scalars(statement)).all()

    async def count(self, user_id: UUID, now: datetime) -> int:
        """Return how many unexpired tokens an account has."""
        statement = (
            select(func.count())
            .select_from(PersonalToken)
            .where(PersonalToken.user_id == user_id, PersonalToken.expires_at > now)
        )
        return (await self._session.scalars(statement)).one()

    async def delete(self, user_id: UUID, *token_ids: UUID) -> int:
        """Delete tokens of an account; return how many there were."""
        statement = delete(PersonalToken).where(PersonalToken.user_id == user_id, PersonalToken.id.in_(token_ids))
        result: Any = await self._session.execute(statement)
        return result.rowcount

    async def delete_all(self, user_id: UUID) -> None:
        """Delete every token of an account."""
        await self._session.execute(delete(PersonalToken).where(PersonalToken.user_id == user_id))

    async def touch(self, token_id: UUID, at: datetime, *, first: bool, every: timedelta) -> bool:
        """Store when a token was last used; return False if another process has stored it already."""
        last = PersonalToken.last_used_at
        statement = (
            update(PersonalToken)
            .where(PersonalToken.id == token_id, last.is_(None) if first else last <= at - every)
            .values(last_used_at=at)
        )
        result: Any = await self._session.execute(statement, execution_options={"synchronize_session": False})
        return result.rowcount > 0

    async def purge(self, now: datetime) -> int:
        """Delete expired tokens; return how many."""
        result: Any = await self._session.execute(delete(PersonalToken).where(PersonalToken.expires_at <= now))
        return result.rowcount
