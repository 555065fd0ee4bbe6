"""Accounts: registration, verification, passwords, deletion. No response reveals which addresses have accounts."""

from datetime import timedelta
from uuid import UUID

from keel import clock
from keel.auth.accounts import mails
from keel.auth.accounts.account_data import AccountData
from keel.auth.accounts.passwords import Passwords
from keel.auth.accounts.repository import MailedTokenRepository, UserRepository
from keel.auth.audit import Audit
from keel.auth.digests import digest, new_token
from keel.auth.models import User
from keel.auth.personal_tokens.repository import PersonalTokenRepository
from keel.auth.problems import InvalidMailedToken, LastAdmin, RegistrationClosed, WrongPassword
from keel.auth.sessions.repository import SessionRepository
from keel.auth.settings import AuthSettings
from keel.background.jobs import Jobs
from keel.db.database import Session
from keel.messaging import mail
from keel.web.rate_limit import RateLimit

WRONG = "The current password is wrong."
NOT_VALID = "This link is no longer valid; request a new one."


class AccountService:
    """Account operations of users. No connection is held while a password is hashed: others need it."""

    def __init__(
        self,
        session: Session,
        *,
        settings: AuthSettings,
        passwords: Passwords,
        audit: Audit,
        jobs: Jobs,
        account_data: AccountData,
        limit: RateLimit,
    ) -> None:
        self._session = session
        self._users = UserRepository(session)
        self._mailed = MailedTokenRepository(session)
        self._logins = SessionRepository(session)
        self._personal_tokens = PersonalTokenRepository(session)
        self._settings = settings
        self._passwords = passwords
        self._audit = audit
        self._jobs = jobs
        self._account_data = account_data
        self._limit = limit

    async def register(self, email: str) -> None:
        """Create an account without a password, to be confirmed by e-mail; if one exists, only its owner is notified.

        Raises:
            RegistrationClosed: registration is disabled.
        """
        if not self._settings.registration:
            raise RegistrationClosed("Registration is closed.")
        user = User(email=email, created_at=clock.now())
        if await self._users.add(user):
            await self._account_data.create(self._session, user.subject, email)
            await self._mail_token("verify", user, timedelta(hours=self._settings.verify_hours))
            self._audit.event("registered", subject=user.subject)
            return
        known = await self._users.by_email(email)
        if known is not None and known.verified_at is None:
            await self._mail_token("verify", known, timedelta(hours=self._settings.verify_hours))
        elif known is not None:
            # The same number of rows is written for a known address as for a new one.
            await self._mail_token("reset", known, timedelta(minutes=self._settings.reset_minutes), kind="known")
        self._audit.attempt("registered_again", email)

    async def verify(self, token: str, password: str) -> None:
        """Verify an address by the token from an e-mail, and set the account's first password.

        Raises:
            InvalidMailedToken: the token was used, replaced, has expired, or was never sent.
            WeakPassword: the password is too easy to guess; the token can be used again.
        """
        password_hash = await self._hash("verify", token, password)
        user = await self._use("verify", token)
        if user.verified_at is not None:
            # Verified by a reset meanwhile; this must not replace its password.
            raise InvalidMailedToken(NOT_VALID)
        user.password_hash, user.verified_at = password_hash, clock.now()
        self._audit.event("verified", subject=user.subject)

    async def request_verification(self, email: str) -> None:
        """Send the confirmation e-mail again."""
        user = await self._users.by_email(email)
        if user is not None and user.verified_at is None:
            await self._mail_token("verify", user, timedelta(hours=self._settings.verify_hours))

    async def forget_password(self, email: str) -> None:
        """Send a link to choose a new password."""
        user = await self._users.by_email(email)
        if user is not None and user.is_active:
            await self._mail_token("reset", user, timedelta(minutes=self._settings.reset_minutes))
        self._audit.attempt("password_forgotten", email)

    async def reset_password(self, token: str, password: str) -> None:
        """Set a new password by the token from an e-mail, which also verifies the address; end all logins and tokens.

        Raises:
            InvalidMailedToken: the token was used, replaced, has expired, or was never sent.
            WeakPassword: the password is too easy to guess; the token can be used again.
        """
        password_hash = await self._hash("reset", token, password)
        user = await self._use("reset", token)
        user.password_hash = password_hash
        user.verified_at = user.verified_at or clock.now()
        await self._logins.revoke_all(user.id, clock.now())
        await self._personal_tokens.delete_all(user.id)
        await self._mail("changed", user.email)
        self._audit.event("password_reset", subject=user.subject)

    async def change_password(self, user: User, current: str, new: str, *, keep: UUID) -> None:
        """Set a new password, given the current one; end all other logins.

        Raises:
            WrongPassword: the current password is wrong.
            TooManyRequests: it was wrong too often.
            WeakPassword: the new password is too easy to guess.
        """
        confirmed = await self.confirm(user, current)
        await self._passwords.check(new, user.email)
        password_hash = await self._passwords.hash(new)
        user = await self._unchanged(user, confirmed)
        user.password_hash = password_hash
        await self._logins.revoke_all(user.id, clock.now(), keep)
        await self._mail("changed", user.email)
        self._audit.event("password_changed", subject=user.subject)

    async def delete(self, user: User, password: str) -> None:
        """Delete an account with all data that belongs to it.

        Raises:
            WrongPassword: the password is wrong.
            TooManyRequests: it was wrong too often.
            LastAdmin: no active administrator would remain.
        """
        user = await self._unchanged(user, await self.confirm(user, password))
        if await self._users.is_last_admin(user):
            raise LastAdmin
        await self._account_data.delete(self._session, user.subject)
        await self._users.delete(user, clock.now())
        self._audit.event("deleted", subject=user.subject)

    async def confirm(self, user: User, password: str) -> str | None:
        """Verify the current password; return its hash. This commits the transaction so far.

        Raises:
            WrongPassword: it is wrong.
            TooManyRequests: it was wrong too often.
        """
        rates = self._settings.rate_limit_per_account
        await self._limit.spend(rates, "password", user.subject)
        stored = user.password_hash
        await self._session.commit()
        right, _ = await self._passwords.verify(password, stored)
        if not right:
            self._audit.event("wrong_password", subject=user.subject)
            raise WrongPassword(WRONG)
        await self._limit.forgive(rates, "password", user.subject)
        return stored

    async def _unchanged(self, user: User, confirmed: str | None) -> User:
        """Return the account, locked, if its password is still the one that was confirmed."""
        current = await self._users.by_id(user.id)
        if current is None or not current.is_active or current.password_hash != confirmed:
            raise WrongPassword(WRONG)
        return current

    async def _hash(self, purpose: str, token: str, password: str) -> str:
        """Return the hash of a new password, for the owner of a token that is not consumed yet."""
        email = await self._mailed.address_of(digest(token), purpose, clock.now())
        if email is None:
            raise InvalidMailedToken(NOT_VALID)
        await self._session.commit()
        await self._passwords.check(password, email)
        return await self._passwords.hash(password)

    async def _use(self, purpose: str, token: str) -> User:
        user_id = await self._mailed.use(digest(token), purpose, clock.now())
        user = await self._users.by_id(user_id) if user_id else None
        if user is None or not user.is_active:
            raise InvalidMailedToken(NOT_VALID)
        return user

    async def _mail_token(self, purpose: str, user: User, lifetime: timedelta, kind: str | None = None) -> None:
        token = new_token()
        await self._mailed.replace(user, purpose, digest(token), clock.now() + lifetime)
        await self._mail(kind or purpose, user.email, token, page=purpose)

    async def _mail(self, kind: str, to: str, token: str = "", page: str = "") -> None:
        composed = mails.compose(kind, to, public_url=str(self._settings.public_url), page=page, token=token)
        await mail.enqueue(self._jobs, self._session, composed)
