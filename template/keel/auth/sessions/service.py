"""Logins: password grant, refresh with reuse detection, revocation."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from keel import clock
from keel.auth.accounts.passwords import Passwords
from keel.auth.accounts.repository import UserRepository
from keel.auth.audit import Audit
from keel.auth.digests import digest, new_token
from keel.auth.models import LoginSession, User
from keel.auth.problems import InvalidRefreshToken, InvalidScope, SessionNotFound, WrongCredentials
from keel.auth.sessions.access_tokens import AccessTokens
from keel.auth.sessions.repository import SessionRepository
from keel.auth.sessions.schemas import Token
from keel.auth.settings import AuthSettings
from keel.db.database import Session
from keel.web.rate_limit import RateLimit

ADMIN = "admin"
"""The scope that only administrators can have."""

ACCOUNT = "account"
"""The scope for the account itself: its logins, tokens and password. Personal tokens cannot have it."""


class LoginService:
    """Opens, refreshes and revokes logins."""

    def __init__(
        self,
        session: Session,
        *,
        settings: AuthSettings,
        passwords: Passwords,
        tokens: AccessTokens,
        audit: Audit,
        limit: RateLimit,
        scopes: Sequence[str],
    ) -> None:
        self._session = session
        self._users = UserRepository(session)
        self._logins = SessionRepository(session)
        self._settings = settings
        self._passwords = passwords
        self._tokens = tokens
        self._audit = audit
        self._limit = limit
        self._scopes = scopes

    async def log_in(self, email: str, password: str, scope: str, *, user_agent: str) -> Token:
        """Exchange address and password for tokens. An unknown address takes equally long.

        Raises:
            TooManyRequests: too many attempts on the account.
            WrongCredentials: the address or password is wrong, or the account is not verified or not active.
            InvalidScope: the account may have none of the requested scopes.
        """
        account = self._audit.pseudonym(email)
        await self._limit.spend(self._settings.rate_limit_per_account, "login", account)
        user = await self._users.by_email(email)
        stored = user.password_hash if user else None
        # Releases the connection: hashing takes long, and others wait for one.
        await self._session.commit()
        right, stronger = await self._passwords.verify(password, stored)
        user = await self._users.by_id(user.id) if user and right else None
        if user is None or user.password_hash != stored or not user.is_active or user.verified_at is None:
            self._audit.attempt("login_failed", email)
            raise WrongCredentials
        if stronger:
            user.password_hash = stronger
        await self._limit.forgive(self._settings.rate_limit_per_account, "login", account)
        return await self.open(user, scope, user_agent=user_agent)

    async def open(self, user: User, scope: str, *, user_agent: str) -> Token:
        """Open a login of an authenticated account.

        Raises:
            InvalidScope: the account may have none of the requested scopes.
        """
        now = clock.now()
        login = LoginSession(
            user_id=user.id,
            scope=self._granted(user, scope),
            user_agent=user_agent[:200],
            created_at=now,
            used_at=now,
            expires_at=now + timedelta(days=self._settings.session_days),
        )
        await self._logins.add(login)
        self._audit.event("login", subject=user.subject, session=str(login.id))
        return self._issue(login, user)

    async def refresh(self, refresh_token: str) -> Token:
        """Exchange a refresh token for new tokens. Reuse revokes the login: the token must have been stolen.

        Raises:
            InvalidRefreshToken: the token is unknown, too old, or was used before.
        """
        now = clock.now()
        used = digest(refresh_token)
        login_id = await self._logins.use_token(used, now)
        if login_id is None:
            await self._punish_reuse(used)
            raise InvalidRefreshToken
        alive = await self._logins.alive(login_id, now)
        if alive is None:
            raise InvalidRefreshToken
        login, user = alive
        if not user.is_active:
            raise InvalidRefreshToken
        login.used_at = now
        latest = login.created_at + timedelta(days=self._settings.session_max_days)
        login.expires_at = min(now + timedelta(days=self._settings.session_days), latest)
        # Logins lose the scopes that their account has lost.
        possible = self._possible(user)
        login.scope = " ".join(name for name in login.scope.split() if name in possible)
        return self._issue(login, user)

    async def list(self, user: User) -> Sequence[LoginSession]:
        """Return the valid logins of a user."""
        return await self._logins.of_user(user.id, clock.now())

    async def end(self, login_id: UUID, user: User) -> None:
        """Revoke one login of a user.

        Raises:
            SessionNotFound: the user has no such login.
        """
        if not await self._logins.revoke(login_id, clock.now(), user.id):
            raise SessionNotFound("You have no such login.")
        self._audit.event("logout", subject=user.subject, session=str(login_id))

    async def end_here(self, login_id: UUID, user: User) -> None:
        """Revoke the login of the caller's own token, if it still exists."""
        await self._logins.revoke(login_id, clock.now(), user.id)
        self._audit.event("logout", subject=user.subject, session=str(login_id))

    async def end_by_token(self, refresh_token: str) -> None:
        """Revoke the login of a refresh token, if there is one."""
        login_id = await self._logins.login_of(digest(refresh_token))
        if login_id is not None and await self._logins.revoke(login_id, clock.now()):
            self._audit.event("logout", session=str(login_id))

    async def end_all(self, user: User) -> None:
        """Revoke all logins of a user."""
        await self._logins.revoke_all(user.id, clock.now())
        self._audit.event("logout_everywhere", subject=user.subject)

    async def _punish_reuse(self, used: bytes) -> None:
        login_id = await self._logins.login_of(used)
        if login_id is not None:
            await self._logins.revoke(login_id, clock.now())
            self._audit.event("refresh_token_reused", session=str(login_id))

    def _possible(self, user: User) -> Sequence[str]:
        limit = self._scopes if user.scopes is None else user.scopes.split()
        return [*(name for name in self._scopes if name in limit), *([ADMIN] if user.is_admin else [])]

    def _granted(self, user: User, scope: str) -> str:
        possible = self._possible(user)
        wanted = list(dict.fromkeys(scope.split())) or possible
        if unknown := [name for name in wanted if name not in {*self._scopes, ADMIN}]:
            raise InvalidScope(" ".join(unknown))
        # Fewer scopes than requested may be granted; the response lists them (RFC 6749, 3.3).
        granted = [name for name in wanted if name in possible]
        if not granted:
            raise InvalidScope(scope)
        return " ".join(granted)

    def _issue(self, login: LoginSession, user: User) -> Token:
        refresh_token = new_token()
        self._logins.add_token(login.id, digest(refresh_token))
        return Token(
            access_token=self._tokens.make(user.subject, login.scope, login.id),
            expires_in=self._tokens.lifetime,
            refresh_token=refresh_token,
            scope=login.scope,
        )
