"""Personal access tokens: creation, listing, revocation.

Creating them needs a login. A password reset revokes all (a thief of the old password may have created some), as
does closing or deleting the account. A password change keeps them: the owner knew the old password, and machines would
fail after each change. The owner gets an e-mail about each new token (NIST SP 800-63B-4, 4.6), so that a stolen login
cannot create one unnoticed.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from keel import clock
from keel.auth.accounts import mails
from keel.auth.accounts.repository import UserRepository
from keel.auth.audit import Audit
from keel.auth.digests import digest
from keel.auth.models import PersonalToken, User
from keel.auth.personal_tokens.format import hint, new_personal_token
from keel.auth.personal_tokens.repository import PersonalTokenRepository
from keel.auth.personal_tokens.schemas import PersonalTokenCreate
from keel.auth.problems import (
    InvalidScope,
    NotSignedIn,
    PersonalTokenNotFound,
    TokenLifetimeTooLong,
    TooManyPersonalTokens,
)
from keel.auth.sessions.access_tokens import Claims
from keel.auth.sessions.repository import SessionRepository
from keel.auth.sessions.service import ACCOUNT, ADMIN
from keel.auth.settings import AuthSettings
from keel.background.jobs import Jobs
from keel.db.database import Session
from keel.messaging import mail

_DEFAULT_DAYS = 30


class PersonalTokenService:
    """Creates, lists and revokes a user's tokens."""

    def __init__(self, session: Session, *, settings: AuthSettings, audit: Audit, jobs: Jobs) -> None:
        self._session = session
        self._users = UserRepository(session)
        self._logins = SessionRepository(session)
        self._tokens = PersonalTokenRepository(session)
        self._settings = settings
        self._audit = audit
        self._jobs = jobs

    async def create(self, user: User, claims: Claims, data: PersonalTokenCreate) -> tuple[PersonalToken, str]:
        """Create a token with a subset of the login's scopes; return it with its text, which is shown once.

        Raises:
            NotSignedIn: the login was revoked, though its access token has not expired yet.
            InvalidScope: the login lacks a requested scope.
            TokenLifetimeTooLong: the lifetime exceeds the maximum.
            TooManyPersonalTokens: the account has the maximum number.
        """
        now = clock.now()
        # Locked: a concurrent reset, closure or creation waits until this transaction ends.
        await self._users.by_id(user.id)
        if await self._logins.alive(claims.session_id, now) is None:
            raise NotSignedIn("This login has ended; log in again.", 'Bearer error="invalid_token"')
        if await self._tokens.count(user.id, now) >= self._settings.personal_tokens_max:
            raise TooManyPersonalTokens(f"You have {self._settings.personal_tokens_max} tokens; revoke one first.")
        days, text = self._days(data.days), new_personal_token()
        token = PersonalToken(
            user_id=user.id,
            name=data.name,
            digest=digest(text),
            hint=hint(text),
            scope=_granted(user, claims, data.scope),
            created_at=now,
            expires_at=now + timedelta(days=days),
        )
        await self._tokens.add(token)
        public_url = str(self._settings.public_url)
        await mail.enqueue(self._jobs, self._session, mails.compose("token", user.email, public_url=public_url))
        self._audit.event(
            "personal_token_created", subject=user.subject, token=str(token.id), scope=token.scope, days=days
        )
        return token, text

    async def list(self, user: User) -> Sequence[PersonalToken]:
        """Return the tokens of a user, newest first."""
        return await self._tokens.of_user(user.id, clock.now())

    async def revoke(self, token_id: UUID, user: User) -> None:
        """Revoke a token of a user, effective from the next request.

        Raises:
            PersonalTokenNotFound: the user has no such token.
        """
        if not await self._tokens.delete(user.id, token_id):
            raise PersonalTokenNotFound("You have no such token.")
        self._audit.event("personal_token_revoked", subject=user.subject, token=str(token_id))

    def _days(self, wanted: int | None) -> int:
        most = self._settings.personal_token_days
        if wanted is not None and wanted > most:
            raise TokenLifetimeTooLong(f"A token may be valid for at most {most} days.")
        return wanted or min(_DEFAULT_DAYS, most)


def _granted(user: User, claims: Claims, scope: str) -> str:
    wanted = list(dict.fromkeys(scope.split()))
    possible = claims.caller.scopes - ({ACCOUNT} if user.is_admin else {ACCOUNT, ADMIN})
    if refused := [name for name in wanted if name not in possible]:
        raise InvalidScope(" ".join(refused))
    return " ".join(wanted)
