"""Plugging auth into the application."""

from collections.abc import Callable

from fastapi import FastAPI
from starlette.types import Scope

from keel import clock
from keel.auth.oidc.lifecycle import install_oidc
from keel.auth.personal_tokens.callers import PersonalTokenCallers
from keel.auth.personal_tokens.format import PREFIX
from keel.auth.personal_tokens.lifecycle import install_personal_tokens
from keel.auth.repository import MailedTokenRepository, SessionRepository
from keel.auth.settings import AuthSettings
from keel.auth.state import Auth, make_auth
from keel.auth.tokens import InvalidToken
from keel.db.database import Session
from keel.messaging.mail import NoMailer
from keel.services import services_of
from keel.settings import SettingsError
from keel.web.rate_limit import client_address


def install_auth(app: FastAPI) -> None:
    """Add endpoints, purges, and the caller as the one whom rate limits count."""
    from keel.auth.browser import router as browser
    from keel.auth.dependencies import password_flow
    from keel.auth.jobs import register_jobs
    from keel.auth.router import router, well_known
    from keel.auth.users import router as users

    settings = AuthSettings.load()
    if isinstance(services_of(app).mailer, NoMailer):
        raise SettingsError(f"MAIL_URL: set it when ENVIRONMENT={settings.environment.value}; auth sends mail")
    auth = services_of(app).auth = make_auth(settings)
    services_of(app).rate_limit.identify = _identify_with(auth, install_personal_tokens(app, auth.audit))
    services_of(app).scopes["admin"] = "Administer accounts"
    # The documentation offers the scopes of all packages, whichever come later.
    password_flow.scopes = services_of(app).scopes
    services_of(app).retention.register("auth sessions", _purge_sessions)
    services_of(app).retention.register("auth mailed tokens", _purge_mailed_tokens)
    register_jobs(app)
    app.include_router(router, prefix="/api/v1")
    app.include_router(browser, prefix="/api/v1")
    app.include_router(users, prefix="/api/v1")
    app.include_router(well_known)
    install_oidc(app)


def _identify_with(auth: Auth, personal: PersonalTokenCallers) -> Callable[[Scope], str]:
    def identify(scope: Scope) -> str:
        """Return one key for a caller from all their addresses, and the address of who has not signed in."""
        for name, value in scope["headers"]:
            if name == b"authorization" and value[:7].lower() == b"bearer ":
                token = value[7:].decode("latin-1")
                if token.startswith(PREFIX):
                    return personal.counted_as(token) or client_address(scope)
                try:
                    return f"subject:{auth.tokens.verify(token).caller.subject}"
                except InvalidToken:
                    break
        return client_address(scope)

    return identify


async def _purge_sessions(session: Session) -> int:
    return await SessionRepository(session).purge(clock.now())


async def _purge_mailed_tokens(session: Session) -> int:
    return await MailedTokenRepository(session).purge(clock.now())
