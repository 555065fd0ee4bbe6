"""What a request to sign in with OpenID Connect needs."""

from typing import Annotated

from fastapi import Depends, Request

from app.auth.dependencies import AuthDep, LoginsDep
from app.auth.oidc.service import SignInService
from app.auth.oidc.state import Oidc
from app.core.database import SessionDep


async def get_oidc(request: Request) -> Oidc:
    """Return what is kept for the application's lifetime."""
    return request.app.state.oidc


async def get_sign_ins(session: SessionDep, auth: AuthDep, logins: LoginsDep) -> SignInService:
    """Return the rules of signing in."""
    return SignInService(session, settings=auth.settings, audit=auth.audit, logins=logins)


OidcDep = Annotated[Oidc, Depends(get_oidc)]
SignInsDep = Annotated[SignInService, Depends(get_sign_ins)]
