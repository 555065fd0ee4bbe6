"""The services of auth, for the application's lifetime."""

from dataclasses import dataclass

from fastapi import FastAPI
from joserfc.jwk import KeySet

from keel.auth.accounts.account_data import AccountData
from keel.auth.accounts.passwords import Passwords
from keel.auth.audit import Audit
from keel.auth.sessions.access_tokens import AccessTokens
from keel.auth.sessions.keys import make_ring
from keel.auth.settings import AuthSettings, key_bytes
from keel.services import services_of
from keel.web.concurrency import ConcurrencyLimit


@dataclass(frozen=True, slots=True)
class Auth:
    """Settings, keys, and the services that use them."""

    settings: AuthSettings
    ring: KeySet
    tokens: AccessTokens
    passwords: Passwords
    hashing: ConcurrencyLimit
    audit: Audit
    account_data: AccountData

    @classmethod
    def of(cls, app: FastAPI) -> "Auth":
        """Return the services of an application."""
        return services_of(app).auth


def make_auth(settings: AuthSettings, account_data: AccountData | None = None) -> Auth:
    """Create the services from settings and the account data of other packages."""
    keys = [key.get_secret_value() for key in settings.signing_keys]
    ring = make_ring(settings.algorithm, keys)
    return Auth(
        settings=settings,
        ring=ring,
        tokens=AccessTokens(settings, ring),
        passwords=Passwords(settings),
        hashing=ConcurrencyLimit("passwords", max(1, settings.hash_queue // 4), settings.hash_queue),
        audit=Audit(key_bytes(keys[0])),
        account_data=account_data or AccountData(),
    )
