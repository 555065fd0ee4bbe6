"""Plugging OpenID Connect into auth, where a provider is set."""

from fastapi import FastAPI

from app.auth.oidc.settings import OidcSettings
from app.auth.state import Auth
from app.core import clock
from app.core.database import Session
from app.core.settings import SettingsError


def install_oidc(app: FastAPI) -> None:
    """Add the endpoints if `AUTH_OIDC_ISSUER` names a provider.

    Raises:
        SettingsError: a setting is missing or wrong; the message names the variable.
    """
    settings = OidcSettings.load()
    if not settings.issuer:
        return
    from app.auth.oidc.router import browser, router
    from app.auth.oidc.state import make_oidc

    auth = Auth.of(app).settings
    if settings.deployed and auth.public_url.scheme != "https":
        raise SettingsError("AUTH_PUBLIC_URL: use https with AUTH_OIDC_ISSUER; browsers are sent there with a code")
    app.state.oidc = make_oidc(settings, auth)
    app.state.purges.register("auth sign-in codes", _purge_codes)
    app.include_router(router, prefix="/api/v1")
    app.include_router(browser, prefix="/api/v1")


async def _purge_codes(session: Session) -> int:
    from app.auth.oidc.repository import SignInCodeRepository

    return await SignInCodeRepository(session).purge(clock.now())
