"""Plugging OpenID Connect into auth, if a provider is set."""

from fastapi import FastAPI

from keel import clock
from keel.auth.oidc.settings import OidcSettings
from keel.auth.state import Auth
from keel.db.database import Session
from keel.services import services_of
from keel.settings import SettingsError


def install(app: FastAPI) -> None:
    """Add the endpoints if `AUTH_OIDC_ISSUER` names a provider.

    Raises:
        SettingsError: a setting is missing or wrong; the message names the variable.
    """
    settings = OidcSettings.load()
    if not settings.issuer:
        return
    from keel.auth.oidc.router import browser, router
    from keel.auth.oidc.state import make_oidc

    auth = Auth.of(app).settings
    if settings.deployed and auth.public_url.scheme != "https":
        raise SettingsError("AUTH_PUBLIC_URL: use https with AUTH_OIDC_ISSUER; browsers are sent there with a code")
    services_of(app).oidc = make_oidc(settings, auth)
    services_of(app).retention.register("auth sign-in codes", _purge_codes)
    app.include_router(router, prefix="/api/v1")
    app.include_router(browser, prefix="/api/v1")


async def _purge_codes(session: Session) -> int:
    from keel.auth.oidc.repository import SignInCodeRepository

    return await SignInCodeRepository(session).purge(clock.now())
