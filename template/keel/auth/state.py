"""What auth keeps for the application's lifetime."""

from dataclasses import dataclass

from fastapi import FastAPI
from joserfc.jwk import KeySet

from keel.auth.audit import Audit
from keel.auth.keys import make_ring
from keel.auth.passwords import Passwords
from keel.auth.settings import AuthSettings, key_bytes
from keel.auth.tokens import AccessTokens
from keel.services import services_of


@dataclass(frozen=True, slots=True)
class Auth:
    """Settings, keys and what works with them."""

    settings: AuthSettings
    ring: KeySet
    tokens: AccessTokens
    passwords: Passwords
    audit: Audit

    @classmethod
    def of(cls, app: FastAPI) -> "Auth":
        """Return what an application keeps."""
        return services_of(app).auth


def make_auth(settings: AuthSettings) -> Auth:
    """Return what works with the given settings."""
    keys = [key.get_secret_value() for key in settings.signing_keys]
    ring = make_ring(settings.algorithm, keys)
    return Auth(
        settings=settings,
        ring=ring,
        tokens=AccessTokens(settings, ring),
        passwords=Passwords(settings),
        audit=Audit(key_bytes(keys[0])),
    )
