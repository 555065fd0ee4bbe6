"""What a request to sign in with OpenID Connect needs."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request

from app.auth.dependencies import make_logins
from app.auth.oidc.service import SignInService
from app.auth.oidc.state import Oidc
from app.auth.state import Auth
from app.core.database import Session, SessionDep


async def get_oidc(request: Request) -> Oidc:
    """Return what is kept for the application's lifetime."""
    return request.app.state.oidc


def make_sign_ins(app: FastAPI, session: Session) -> SignInService:
    """Return the rules of signing in, within a transaction."""
    auth: Auth = app.state.auth
    logins = make_logins(app, session)
    return SignInService(session, settings=auth.settings, audit=auth.audit, jobs=app.state.jobs, logins=logins)


async def get_sign_ins(session: SessionDep, request: Request) -> SignInService:
    """Return the rules of signing in."""
    return make_sign_ins(request.app, session)


OidcDep = Annotated[Oidc, Depends(get_oidc)]
SignInsDep = Annotated[SignInService, Depends(get_sign_ins)]
