"""What auth keeps for the application's lifetime."""

from dataclasses import dataclass

from fastapi import FastAPI
from joserfc.jwk import KeySet

from app.auth.audit import Audit
from app.auth.keys import make_ring
from app.auth.passwords import Passwords
from app.auth.settings import AuthSettings, key_bytes
from app.auth.tokens import AccessTokens


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
        return app.state.auth


def make_auth(settings: AuthSettings) -> Auth:
    """Return what works with the given settings."""
    keys = [key.get_secret_value() for key in settings.keys]
    ring = make_ring(settings.algorithm, keys)
    return Auth(
        settings=settings,
        ring=ring,
        tokens=AccessTokens(settings, ring),
        passwords=Passwords(settings),
        audit=Audit(key_bytes(keys[0])),
    )
