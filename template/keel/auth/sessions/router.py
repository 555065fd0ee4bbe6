"""HTTP for logins."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Header, Response, status

from keel.auth.dependencies import (
    ACCOUNT_RESPONSES,
    AccountUser,
    AuthDep,
    ClaimsDep,
    CurrentUser,
    LoginsDep,
    Queued,
    Throttled,
)
from keel.auth.problems import (
    IncompleteTokenRequest,
    InvalidRefreshToken,
    InvalidScope,
    SessionNotFound,
    WrongCredentials,
)
from keel.auth.sessions.keys import public_keys
from keel.auth.sessions.schemas import LoginSession, Refresh, Token, TokenRequest
from keel.web import errors

router = APIRouter(prefix="/auth", tags=["auth"])
well_known = APIRouter(tags=["auth"])

UserAgent = Annotated[str, Header(include_in_schema=False)]


@router.post(
    "/token",
    dependencies=[Throttled, Queued],
    responses=errors.responses(WrongCredentials, InvalidRefreshToken, InvalidScope, IncompleteTokenRequest),
)
async def token(
    data: Annotated[TokenRequest, Form()], logins: LoginsDep, response: Response, user_agent: UserAgent = ""
) -> Token:
    """Exchange address and password, or a refresh token, for tokens (OAuth 2.0, RFC 6749)."""
    response.headers["Cache-Control"] = "no-store"
    if missing := data.missing():
        raise IncompleteTokenRequest(missing)
    if data.grant_type == "refresh_token":
        return await logins.refresh(data.refresh_token.get_secret_value())
    password = data.password.get_secret_value()
    return await logins.log_in(data.username, password, data.scope, user_agent=user_agent)


@router.post("/refresh", responses=errors.responses(InvalidRefreshToken))
async def refresh(data: Refresh, logins: LoginsDep, response: Response) -> Token:
    """Exchange a refresh token for new tokens. Each can be used once; reuse ends the login."""
    response.headers["Cache-Control"] = "no-store"
    return await logins.refresh(data.refresh_token.get_secret_value())


@router.post("/logout", status_code=status.HTTP_204_NO_CONTENT, responses=ACCOUNT_RESPONSES)
async def logout(claims: ClaimsDep, user: CurrentUser, logins: LoginsDep) -> None:
    """End this login."""
    await logins.end_here(claims.session_id, user)


@router.get("/sessions", responses=ACCOUNT_RESPONSES)
async def list_sessions(user: AccountUser, logins: LoginsDep) -> list[LoginSession]:
    """List your logins."""
    return [LoginSession.model_validate(login) for login in await logins.list(user)]


@router.delete("/sessions", status_code=status.HTTP_204_NO_CONTENT, responses=ACCOUNT_RESPONSES)
async def end_sessions(user: AccountUser, logins: LoginsDep) -> None:
    """End all of your logins."""
    await logins.end_all(user)


@router.delete(
    "/sessions/{session_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses={**ACCOUNT_RESPONSES, **errors.responses(SessionNotFound)},
)
async def end_session(session_id: UUID, user: AccountUser, logins: LoginsDep) -> None:
    """End one of your logins."""
    await logins.end(session_id, user)


@well_known.get("/.well-known/jwks.json")
async def key_set(auth: AuthDep) -> dict[str, Any]:
    """Return the public keys that verify access tokens (RFC 7517); none for HS256."""
    return public_keys(auth.ring)
