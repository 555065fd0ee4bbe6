"""Dependencies: the caller of a request, and the services of auth."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Security
from fastapi.openapi.models import OAuth2, OAuthFlowPassword, OAuthFlows
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase

from keel.auth.accounts.administration import AdministrationService
from keel.auth.accounts.repository import UserRepository, standing_of
from keel.auth.accounts.service import AccountService
from keel.auth.callers import BearerToken, bearer_token
from keel.auth.models import User
from keel.auth.personal_tokens.service import PersonalTokenService
from keel.auth.problems import LoginRequired, MissingScope, NotSignedIn
from keel.auth.sessions.access_tokens import Claims
from keel.auth.sessions.service import ACCOUNT, ADMIN, LoginService
from keel.auth.state import Auth
from keel.caller import Caller
from keel.db.database import Session
from keel.dependencies import ReadSessionDep, SessionDep
from keel.services import services_of
from keel.web import errors
from keel.web.rate_limit import client_address

password_flow = OAuthFlowPassword(tokenUrl="/api/v1/auth/token")


class BearerScheme(SecurityBase):
    """The OAuth2 password flow for the OpenAPI document; returns the token that the middleware has verified."""

    model = OAuth2(flows=OAuthFlows(password=password_flow))
    scheme_name = "OAuth2PasswordBearer"

    async def __call__(self, request: Request) -> BearerToken:
        """Return the request's token."""
        return bearer_token(request.app, request.scope)


BearerDep = Annotated[BearerToken, Depends(BearerScheme())]

RESPONSES = errors.responses(NotSignedIn, MissingScope)
ACCOUNT_RESPONSES = errors.responses(NotSignedIn, MissingScope, LoginRequired)
"""The errors of operations on the account itself."""


async def get_auth(request: Request) -> Auth:
    """Return the services of auth."""
    return services_of(request.app).auth


AuthDep = Annotated[Auth, Depends(get_auth)]


async def current_caller(scopes: SecurityScopes, token: BearerDep) -> Caller:
    """Return the caller of a request with an access token or a personal one.

    Raises:
        NotSignedIn: there is no token, or it is not valid.
        MissingScope: the token lacks a scope that the operation needs.
    """
    return (await token.verify(scopes.scopes)).caller


async def current_claims(scopes: SecurityScopes, token: BearerDep) -> Claims:
    """Return the claims of an access token, without a query.

    Raises:
        NotSignedIn: there is no token, or it is not valid.
        LoginRequired: it is a personal token, which allows the API's resources but never accounts.
        MissingScope: the token lacks a scope that the operation needs.
    """
    return token.log_in(scopes.scopes)


ClaimsDep = Annotated[Claims, Security(current_claims)]


async def current_user(claims: ClaimsDep, session: SessionDep) -> User:
    """Return the current state of the caller's account.

    Raises:
        NotSignedIn: it was closed or deleted since the token was issued.
    """
    user = await UserRepository(session).by_subject(claims.caller.subject)
    if user is None or not user.is_active:
        raise NotSignedIn("This account cannot be used.", 'Bearer error="invalid_token"')
    return user


CurrentUser = Annotated[User, Security(current_user)]
AccountUser = Annotated[User, Security(current_user, scopes=[ACCOUNT])]
"""The caller's account, for operations on the account itself, which a login limited to other scopes may not use."""


async def current_admin(
    claims: Annotated[Claims, Security(current_claims, scopes=[ADMIN])], session: ReadSessionDep
) -> Caller:
    """Return the caller if it is an administrator, by both its token and the current state of its account.

    The account is read outside the request's transaction: an operation that opens its own, as uploads do, must not hold
    another.

    Raises:
        NotSignedIn: there is no token, or it is not valid, or the account was closed or deleted.
        MissingScope: the caller is not, or no longer, an administrator.
    """
    account = await standing_of(session, claims.caller.subject)
    if account is None or not account.is_active:
        raise NotSignedIn("This account cannot be used.", 'Bearer error="invalid_token"')
    if not account.is_admin:
        raise MissingScope(ADMIN)
    return claims.caller


CurrentAdmin = Annotated[Caller, Security(current_admin)]


async def throttle(request: Request, auth: AuthDep) -> None:
    """Count an attempt to log in, register or request an e-mail, by IP address."""
    await services_of(request.app).rate_limit.spend(
        auth.settings.rate_limit_per_ip, "auth", client_address(request.scope)
    )


async def queue(request: Request, auth: AuthDep) -> AsyncGenerator[None]:
    """Count a request that hashes a password while it runs, so that the queue for hashing stays short."""
    with auth.hashing.counted(services_of(request.app).rate_limit.key(request.scope)):
        yield


def make_accounts(app: FastAPI, session: Session) -> AccountService:
    """Return the rules of accounts, within a transaction."""
    auth: Auth = services_of(app).auth
    return AccountService(
        session,
        settings=auth.settings,
        passwords=auth.passwords,
        audit=auth.audit,
        jobs=services_of(app).jobs,
        account_data=auth.account_data,
        limit=services_of(app).rate_limit,
    )


async def get_accounts(session: SessionDep, request: Request) -> AccountService:
    """Return the rules of accounts."""
    return make_accounts(request.app, session)


def make_logins(app: FastAPI, session: Session) -> LoginService:
    """Return the rules of logins, within a transaction."""
    auth: Auth = services_of(app).auth
    return LoginService(
        session,
        settings=auth.settings,
        passwords=auth.passwords,
        tokens=auth.tokens,
        audit=auth.audit,
        limit=services_of(app).rate_limit,
        scopes=_ordinary_scopes(app),
    )


async def get_logins(session: SessionDep, request: Request) -> LoginService:
    """Return the rules of logins."""
    return make_logins(request.app, session)


async def get_administration(session: SessionDep, auth: AuthDep, request: Request) -> AdministrationService:
    """Return the rules of administration."""
    return AdministrationService(session, audit=auth.audit, scopes=_ordinary_scopes(request.app))


def _ordinary_scopes(app: FastAPI) -> list[str]:
    return [name for name in services_of(app).scopes if name != ADMIN]


async def get_personal_tokens(session: SessionDep, auth: AuthDep, request: Request) -> PersonalTokenService:
    """Return the rules of personal tokens."""
    return PersonalTokenService(session, settings=auth.settings, audit=auth.audit, jobs=services_of(request.app).jobs)


AccountsDep = Annotated[AccountService, Depends(get_accounts)]
LoginsDep = Annotated[LoginService, Depends(get_logins)]
PersonalTokensDep = Annotated[PersonalTokenService, Depends(get_personal_tokens)]
AdministrationDep = Annotated[AdministrationService, Depends(get_administration)]
Throttled: Any = Depends(throttle)
Queued: Any = Depends(queue)
