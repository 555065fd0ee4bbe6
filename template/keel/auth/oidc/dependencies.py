"""Dependencies of sign-in with OpenID Connect."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request

from keel.auth.dependencies import make_logins
from keel.auth.oidc.service import SignInService
from keel.auth.oidc.state import Oidc
from keel.auth.state import Auth
from keel.db.database import Session
from keel.dependencies import SessionDep
from keel.services import services_of


async def get_oidc(request: Request) -> Oidc:
    """Return the services of OpenID Connect."""
    return services_of(request.app).oidc


def make_sign_ins(app: FastAPI, session: Session) -> SignInService:
    """Create the service, within a transaction."""
    auth: Auth = services_of(app).auth
    logins = make_logins(app, session)
    return SignInService(
        session,
        settings=auth.settings,
        audit=auth.audit,
        jobs=services_of(app).jobs,
        logins=logins,
        account_data=auth.account_data,
    )


async def get_sign_ins(session: SessionDep, request: Request) -> SignInService:
    """Return the service."""
    return make_sign_ins(request.app, session)


OidcDep = Annotated[Oidc, Depends(get_oidc)]
SignInsDep = Annotated[SignInService, Depends(get_sign_ins)]
