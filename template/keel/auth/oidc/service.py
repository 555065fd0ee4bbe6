"""Sign-in with OpenID Connect: find, link or create the account, then exchange a code for tokens."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from datetime import timedelta

from keel import clock
from keel.auth.accounts import mails
from keel.auth.accounts.account_data import AccountData
from keel.auth.accounts.repository import UserRepository
from keel.auth.audit import Audit
from keel.auth.digests import digest, new_token
from keel.auth.models import Identity, SignInCode, User
from keel.auth.oidc.problems import AccountClosed, AccountNotConfirmed, EmailNotVerifiedByProvider, InvalidSignInCode
from keel.auth.oidc.provider.client import Person
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
    """Finds, links and creates accounts for persons that the provider has authenticated."""

    def __init__(
        self,
        session: Session,
        *,
        settings: AuthSettings,
        audit: Audit,
        jobs: Jobs,
        logins: LoginService,
        account_data: AccountData,
    ) -> None:
        self._session = session
        self._users = UserRepository(session)
        self._identities = IdentityRepository(session)
        self._codes = SignInCodeRepository(session)
        self._settings = settings
        self._audit = audit
        self._jobs = jobs
        self._logins = logins
        self._account_data = account_data

    async def admit(self, person: Person, challenge: str) -> str:
        """Return a code, to be exchanged for tokens with the challenge's verifier.

        Raises:
            EmailNotVerifiedByProvider: a new person has no address that the provider has verified.
            AccountNotConfirmed: the address has an account that is not verified.
            AccountClosed: the account is not active.
            RegistrationClosed: there is no account, and registration is disabled.
        """
        # By subject only: addresses change, and pass from one person to another.
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
            InvalidSignInCode: it is unknown, expired or used, or the verifier is wrong.
            InvalidScope: the account is granted none of the requested scopes.
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
        """Link a new person to the account of the address, or to a new account without a password."""
        if person.email is None:
            # The same error whether or not there is an account, so that it reveals nothing.
            raise EmailNotVerifiedByProvider("The provider has not verified an e-mail address of yours.")
        known = await self._users.by_email(person.email)
        user = known or await self._create(person.email)
        if user.verified_at is None:
            # The account may have been registered by another person, whose password would keep working.
            self._audit.attempt("oidc_refused", person.email, reason="not confirmed")
            raise AccountNotConfirmed(
                "An account with this address was never confirmed. Confirm it by the link in its e-mail or choose a new"
                " password, sign in with the password once, then sign in this way."
            )
        identity = Identity(
            issuer=person.issuer, provider_subject=person.subject, user_id=user.id, created_at=clock.now()
        )
        if not user.is_active:
            return user
        if await self._identities.add(identity):
            self._audit.event("oidc_linked", subject=user.subject, issuer=person.issuer)
            if known:
                # The owner is notified of a new way to sign in (NIST SP 800-63B-4, 4.6).
                told = mails.compose("linked", user.email, public_url=str(self._settings.public_url))
                await mail.enqueue(self._jobs, self._session, told)
            return user
        # A concurrent request of the same person has linked the account first.
        return await self._identities.owner(person.issuer, person.subject) or user

    async def _create(self, email: str) -> User:
        if not self._settings.registration:
            raise RegistrationClosed("Registration is closed.")
        now = clock.now()
        user = User(email=email, verified_at=now, created_at=now)
        if not await self._users.add(user):
            user = await self._users.by_email(email) or user
        else:
            await self._account_data.create(self._session, user.subject, email)
            self._audit.event("registered", subject=user.subject, by="oidc")
        return user


def s256(verifier: str) -> str:
    """Return the challenge of a verifier (RFC 7636, 4.2)."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
