"""The rules of signing in with OpenID Connect: whose account somebody gets, and how they get their tokens."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from datetime import timedelta

from keel import clock
from keel.auth.accounts import mails
from keel.auth.accounts.repository import UserRepository
from keel.auth.audit import Audit
from keel.auth.digests import digest, new_token
from keel.auth.models import Identity, SignInCode, User
from keel.auth.oidc.problems import AccountClosed, AccountNotConfirmed, EmailNotVerifiedByProvider, InvalidSignInCode
from keel.auth.oidc.provider import Person
from keel.auth.oidc.repository import IdentityRepository, SignInCodeRepository
from keel.auth.problems import RegistrationClosed
from keel.auth.sessions.schemas import Token
from keel.auth.sessions.service import LoginService
from keel.auth.settings import AuthSettings
from keel.background.jobs import Jobs
from keel.db.database import Session
from keel.messaging import mail

CODE_LIFETIME = timedelta(seconds=60)


class SignInService:
    """Finds or makes accounts of people whom the provider knows."""

    def __init__(
        self, session: Session, *, settings: AuthSettings, audit: Audit, jobs: Jobs, logins: LoginService
    ) -> None:
        self._session = session
        self._users = UserRepository(session)
        self._identities = IdentityRepository(session)
        self._codes = SignInCodeRepository(session)
        self._settings = settings
        self._audit = audit
        self._jobs = jobs
        self._logins = logins

    async def admit(self, person: Person, challenge: str) -> str:
        """Return a code that who knows the challenge's verifier can exchange for tokens.

        Raises:
            EmailNotVerifiedByProvider: somebody new has no address that the provider has verified.
            AccountNotConfirmed: their address has an account that nobody has proven to be theirs.
            AccountClosed: their account cannot be used.
            RegistrationClosed: they have none, and strangers cannot create any.
        """
        # The subject alone tells people apart: addresses change, and pass from one person to another.
        user = await self._identities.owner(person.issuer, person.subject)
        if user is None:
            user = await self._link(person)
        if not user.is_active:
            self._audit.event("oidc_refused", subject=user.subject, reason="closed")
            raise AccountClosed("This account is closed.")
        code = new_token()
        expires_at = clock.now() + CODE_LIFETIME
        self._codes.add(SignInCode(digest=digest(code), user_id=user.id, challenge=challenge, expires_at=expires_at))
        return code

    async def redeem(self, code: str, verifier: str, scope: str, *, user_agent: str) -> Token:
        """Exchange a code for tokens.

        Raises:
            InvalidSignInCode: it is none, was used before, or its sign-in was begun by somebody else.
            InvalidScope: the account may not have what was asked for.
        """
        used = await self._codes.use(digest(code), clock.now())
        if used is None:
            raise InvalidSignInCode
        user_id, challenge = used
        user = await self._users.by_id(user_id)
        if user is None or not user.is_active or not hmac.compare_digest(s256(verifier), challenge):
            self._audit.event("oidc_refused", subject=user and user.subject, reason="code")
            raise InvalidSignInCode
        return await self._logins.open(user, scope, user_agent=user_agent)

    async def _link(self, person: Person) -> User:
        """Remember somebody new, with the account of their address, or a new one without a password."""
        if person.email is None:
            # Whether there is such an account makes no difference, so that nobody learns it.
            raise EmailNotVerifiedByProvider("The provider does not confirm an e-mail address of yours.")
        known = await self._users.by_email(person.email)
        user = known or await self._create(person.email)
        if user.verified_at is None:
            # Whoever registered it with a password would share it from now on, and may not be who this is.
            self._audit.attempt("oidc_refused", person.email, reason="not confirmed")
            raise AccountNotConfirmed(
                "There is an account with this address that was never confirmed. Confirm it by the link in its mail or"
                " choose a new password, sign in with the password first, then sign in this way."
            )
        identity = Identity(
            issuer=person.issuer, provider_subject=person.subject, user_id=user.id, created_at=clock.now()
        )
        if not user.is_active:
            return user
        if await self._identities.add(identity):
            self._audit.event("oidc_linked", subject=user.subject, issuer=person.issuer)
            if known:
                # A new way into somebody's account is told to its owner (NIST SP 800-63B-4, 4.6).
                told = mails.compose("linked", user.email, public_url=str(self._settings.public_url))
                await mail.enqueue(self._jobs, self._session, told)
            return user
        # The same person came twice at the same moment, and the other request was first.
        return await self._identities.owner(person.issuer, person.subject) or user

    async def _create(self, email: str) -> User:
        if not self._settings.registration:
            raise RegistrationClosed("Registration is closed.")
        now = clock.now()
        user = User(email=email, verified_at=now, created_at=now)
        if not await self._users.add(user):
            user = await self._users.by_email(email) or user
        else:
            self._audit.event("registered", subject=user.subject, by="oidc")
        return user


def s256(verifier: str) -> str:
    """Return the challenge of a verifier (RFC 7636, 4.2)."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
