"""Plugging auth into the application."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from fastapi import APIRouter, FastAPI

from keel import clock
from keel.auth.accounts.account_data import AccountData
from keel.auth.accounts.admin_router import router as administration
from keel.auth.accounts.jobs import register_jobs
from keel.auth.accounts.repository import MailedTokenRepository, UserRepository
from keel.auth.accounts.router import router as accounts
from keel.auth.callers import rate_limit_key
from keel.auth.dependencies import password_flow
from keel.auth.oidc.plugin import install as install_oidc
from keel.auth.personal_tokens.callers import PersonalTokenCallers
from keel.auth.personal_tokens.repository import PersonalTokenRepository
from keel.auth.personal_tokens.router import router as personal_tokens
from keel.auth.personal_tokens.usage import PersonalTokenUsage
from keel.auth.sessions.browser import router as browser
from keel.auth.sessions.repository import SessionRepository
from keel.auth.sessions.router import router as sessions
from keel.auth.sessions.router import well_known
from keel.auth.sessions.service import ACCOUNT, ADMIN
from keel.auth.settings import AuthSettings
from keel.auth.state import make_auth
from keel.db.database import Session
from keel.messaging.mail import NoMailer
from keel.packages import find_package, load_each
from keel.services import Services, services_of
from keel.settings import SettingsError

API = "/api/v1"
LATE_WRITES = timedelta(hours=2)
"""How long tokens or jobs of a deleted account may still write: access tokens are valid for an hour at most."""


def install(app: FastAPI) -> None:
    """Add endpoints, scopes, jobs and retention; make rate limits count by caller.

    Raises:
        SettingsError: a key is missing or too weak, or mail cannot be sent.
    """
    services, settings = services_of(app), AuthSettings.load()
    if isinstance(services.mailer, NoMailer):
        raise SettingsError(f"MAIL_URL: set it when ENVIRONMENT={settings.environment.value}; auth sends mail")
    services.auth = make_auth(settings, _account_data(services))
    services.personal_tokens = PersonalTokenCallers(PersonalTokenUsage(services.auth.audit))
    services.rate_limit.key = partial(rate_limit_key, app)
    services.retention.register("auth sessions", _purge_sessions)
    services.retention.register("auth mailed tokens", _purge_mailed_tokens)
    services.retention.register("auth personal tokens", _purge_personal_tokens)
    services.retention.register("auth deleted accounts", partial(_purge_late_writes, services))
    services.scopes[ADMIN] = "Administer accounts"
    services.scopes[ACCOUNT] = "Manage your account: logins, tokens, password"
    # The same dictionary, so that the documentation also offers the scopes that packages add later.
    password_flow.scopes = services.scopes
    register_jobs(app)
    _include_routers(app)
    install_oidc(app)


def _account_data(services: Services) -> AccountData:
    """Return the data of all packages, Keel's own and the application's.

    Raises:
        PackageError: a package's `account_data` module lacks the function.
    """
    from keel.features import FEATURES  # It imports this module.

    names = (feature.__name__.removesuffix(".plugin") for feature in FEATURES)
    packages = [*map(find_package, names), *services.packages]
    modules = [module for _, module in load_each(packages, "account_data")]
    return AccountData(lambda: [module.account_data(services) for module in modules])


def _include_routers(app: FastAPI) -> None:
    services = services_of(app)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        yield
        await services.personal_tokens.usage.settle()

    for router in (accounts, sessions, browser, administration, personal_tokens):
        app.include_router(router, prefix=API)
    app.include_router(well_known)
    app.include_router(APIRouter(lifespan=lifespan))


async def _purge_sessions(session: Session) -> int:
    return await SessionRepository(session).purge(clock.now())


async def _purge_mailed_tokens(session: Session) -> int:
    return await MailedTokenRepository(session).purge(clock.now())


async def _purge_personal_tokens(session: Session) -> int:
    return await PersonalTokenRepository(session).purge(clock.now())


async def _purge_late_writes(services: Services, session: Session) -> int:
    """Delete what tokens of deleted accounts wrote afterwards; return how many accounts were checked."""
    subjects = await UserRepository(session).forget_deleted(clock.now() - LATE_WRITES)
    for subject in subjects:
        await services.auth.account_data.delete(session, subject)
    return len(subjects)
