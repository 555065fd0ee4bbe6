"""Plugging OpenID Connect into auth, where a provider is set."""

from fastapi import FastAPI

from app.auth.oidc.settings import OidcSettings
from app.auth.state import Auth
from app.core import clock
from app.core.database import Session


def install_oidc(app: FastAPI) -> None:
    """Add the endpoints if `AUTH_OIDC_ISSUER` names a provider.

    Raises:
        SettingsError: a setting is missing or wrong; the message names the variable.
    """
    settings = OidcSettings.load()
    if not settings.issuer:
        return
    from app.auth.oidc.router import router
    from app.auth.oidc.state import make_oidc

    app.state.oidc = make_oidc(settings, Auth.of(app).settings)
    app.state.purges.register("auth sign-in codes", _purge_codes)
    app.include_router(router, prefix="/api/v1")


async def _purge_codes(session: Session) -> int:
    from app.auth.oidc.repository import SignInCodeRepository

    return await SignInCodeRepository(session).purge(clock.now())
