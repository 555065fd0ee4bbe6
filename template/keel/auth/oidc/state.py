"""The services of OpenID Connect, for the application's lifetime."""

from dataclasses import dataclass

from keel.auth.oidc.attempts import Attempts
from keel.auth.oidc.provider.client import Provider
from keel.auth.oidc.settings import OidcSettings
from keel.auth.settings import AuthSettings

CALLBACK = "/api/v1/auth/oidc/callback"


@dataclass(frozen=True, slots=True)
class Oidc:
    """The provider, and the codec of attempts."""

    provider: Provider
    attempts: Attempts
    secure: bool
    """Whether cookies are `Secure`."""


def make_oidc(settings: OidcSettings, auth: AuthSettings) -> Oidc:
    """Create the services from settings."""
    redirect_url = settings.redirect_url or str(auth.public_url).rstrip("/") + CALLBACK
    return Oidc(
        provider=Provider(settings, redirect_url),
        attempts=Attempts([key.get_secret_value() for key in auth.signing_keys]),
        secure=settings.deployed,
    )
