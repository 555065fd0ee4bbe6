"""Administration of accounts: activation, scopes, administrators."""

from collections.abc import Sequence
from uuid import UUID

from pydantic import TypeAdapter

from keel import clock
from keel.auth.accounts.repository import UserRepository
from keel.auth.accounts.schemas import UserQuery, UserUpdate
from keel.auth.audit import Audit
from keel.auth.models import User
from keel.auth.personal_tokens.repository import PersonalTokenRepository
from keel.auth.problems import InvalidScope, LastAdmin, UserNotFound
from keel.auth.sessions.repository import SessionRepository
from keel.clock import UtcDatetime
from keel.db.database import Session
from keel.web.pagination import Cursor, decode_cursor

_ORDER = "-created_at"
_MOMENT: TypeAdapter[UtcDatetime] = TypeAdapter(UtcDatetime)


class AdministrationService:
    """Lists and changes accounts for administrators."""

    def __init__(self, session: Session, *, audit: Audit, scopes: Sequence[str]) -> None:
        self._users = UserRepository(session)
        self._logins = SessionRepository(session)
        self._personal_tokens = PersonalTokenRepository(session)
        self._audit = audit
        self._scopes = scopes

    async def list(self, query: UserQuery) -> tuple[Sequence[User], str | None]:
        """Return accounts and the cursor of the next page.

        Raises:
            InvalidCursor: the cursor is not from this list.
        """
        after = decode_cursor(query.cursor, _ORDER, _MOMENT) if query.cursor is not None else None
        place = (after.value, after.id) if after else None
        users = await self._users.page(query.q, query.limit + 1, place)
        if len(users) <= query.limit:
            return users, None
        last = users[query.limit - 1]
        return users[: query.limit], Cursor(last.created_at, last.id).encode(_ORDER)

    async def get(self, user_id: UUID) -> User:
        """Return an account.

        Raises:
            UserNotFound: there is none.
        """
        user = await self._users.by_id(user_id)
        if user is None:
            raise UserNotFound("There is no such account.")
        return user

    async def update(self, user_id: UUID, data: UserUpdate, *, by: str) -> User:
        """Change an account; losing any right ends its logins and personal tokens.

        Raises:
            UserNotFound: there is no such account.
            InvalidScope: a scope does not exist, or cannot be granted here.
            LastAdmin: no active administrator would remain.
        """
        user = await self.get(user_id)
        changes = data.model_dump(exclude_unset=True)
        narrowed = changes.get("scopes") is not None
        if narrowed:
            if unknown := [name for name in changes["scopes"] if name not in self._scopes]:
                raise InvalidScope(" ".join(unknown))
            changes["scopes"] = " ".join(dict.fromkeys(changes["scopes"]))
        if False in (changes.get("is_admin"), changes.get("is_active")) and await self._users.is_last_admin(user):
            raise LastAdmin
        for field, value in changes.items():
            setattr(user, field, value)
        if narrowed or False in changes.values():
            await self._logins.revoke_all(user.id, clock.now())
            await self._personal_tokens.delete_all(user.id)
        self._audit.event("administered", subject=user.subject, by=by, **changes)
        return user
