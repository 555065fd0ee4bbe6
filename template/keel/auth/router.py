"""HTTP for accounts and logins."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Header, Response, status

from keel.auth.dependencies import RESPONSES, AccountsDep, AuthDep, ClaimsDep, CurrentUser, LoginsDep, Throttled
from keel.auth.jobs import FORGET_PASSWORD, REQUEST_VERIFICATION
from keel.auth.keys import public_keys
from keel.auth.passwords import WeakPassword
from keel.auth.problems import InvalidMailedToken, OAuthError, RegistrationClosed, SessionNotFound, WrongPassword
from keel.auth.schemas import (
    Accepted,
    Address,
    Deletion,
    LoginSession,
    PasswordChange,
    PasswordReset,
    Refresh,
    Registration,
    Token,
    TokenRequest,
    User,
    Verification,
)
from keel.dependencies import JobsDep, SessionDep
from keel.web import errors

router = APIRouter(prefix="/auth", tags=["auth"])
well_known = APIRouter(tags=["auth"])

UserAgent = Annotated[str, Header(include_in_schema=False)]


@router.post(
    "/register",
    status_code=status.HTTP_202_ACCEPTED,
    dependencies=[Throttled],
    responses=errors.responses(RegistrationClosed, WeakPassword),
)
async def register(data: Registration, accounts: AccountsDep) -> Accepted:
    """Create an account. A mail says how to go on, and only its reader learns whether the address is known."""
    await accounts.register(data.email, data.password.get_secret_value())
    return Accepted()


@router.post("/verify", status_code=status.HTTP_204_NO_CONTENT, responses=errors.responses(InvalidMailedToken))
async def verify(data: Verification, accounts: AccountsDep) -> None:
    """Confirm an address with the token from a mail."""
    await accounts.verify(data.token.get_secret_value())


@router.post("/verify/request", status_code=status.HTTP_202_ACCEPTED, dependencies=[Throttled])
async def request_verification(data: Address, jobs: JobsDep, session: SessionDep) -> Accepted:
    """Have the mail sent again."""
    await jobs.enqueue(session, REQUEST_VERIFICATION, {"email": data.email})
    return Accepted()


@router.post("/token", dependencies=[Throttled], responses=errors.responses(OAuthError))
async def token(
    data: Annotated[TokenRequest, Form()], logins: LoginsDep, response: Response, user_agent: UserAgent = ""
) -> Token:
    """Exchange address and password, or a refresh token, for tokens (OAuth 2.0, RFC 6749)."""
    response.headers["Cache-Control"] = "no-store"
    if data.grant_type == "refresh_token":
        return await logins.refresh(data.refresh_token.get_secret_value())
    password = data.password.get_secret_value()
    return await logins.log_in(data.username, password, data.scope, user_agent=user_agent)


@router.post("/refresh", responses=errors.responses(OAuthError))
async def refresh(data: Refresh, logins: LoginsDep, response: Response) -> Token:
    """Exchange a refresh token for new tokens. Each is good for one use; a second use ends the login."""
    response.headers["Cache-Control"] = "no-store"
    return await logins.refresh(data.refresh_token.get_secret_value())


@router.post("/logout", status_code=status.HTTP_204_NO_CONTENT, responses=RESPONSES)
async def logout(claims: ClaimsDep, user: CurrentUser, logins: LoginsDep) -> None:
    """Log out here."""
    await logins.end_here(claims.session_id, user)


@router.get("/me", responses=RESPONSES)
async def read_me(user: CurrentUser) -> User:
    """Read your account."""
    return User.model_validate(user)


@router.post(
    "/me/delete",
    status_code=status.HTTP_204_NO_CONTENT,
    responses={**RESPONSES, **errors.responses(WrongPassword)},
)
async def delete_me(data: Deletion, user: CurrentUser, accounts: AccountsDep) -> None:
    """Delete your account, with everything that belongs to it."""
    await accounts.delete(user, data.password.get_secret_value())


@router.post(
    "/password/change",
    status_code=status.HTTP_204_NO_CONTENT,
    responses={**RESPONSES, **errors.responses(WrongPassword, WeakPassword)},
)
async def change_password(data: PasswordChange, claims: ClaimsDep, user: CurrentUser, accounts: AccountsDep) -> None:
    """Choose a new password. You stay logged in here and nowhere else."""
    current, new = data.current.get_secret_value(), data.new.get_secret_value()
    await accounts.change_password(user, current, new, keep=claims.session_id)


@router.post("/password/forgot", status_code=status.HTTP_202_ACCEPTED, dependencies=[Throttled])
async def forget_password(data: Address, jobs: JobsDep, session: SessionDep) -> Accepted:
    """Have a link sent to choose a new password."""
    await jobs.enqueue(session, FORGET_PASSWORD, {"email": data.email})
    return Accepted()


@router.post(
    "/password/reset",
    status_code=status.HTTP_204_NO_CONTENT,
    dependencies=[Throttled],
    responses=errors.responses(InvalidMailedToken, WeakPassword),
)
async def reset_password(data: PasswordReset, accounts: AccountsDep) -> None:
    """Choose a new password with the token from a mail. Every login ends."""
    await accounts.reset_password(data.token.get_secret_value(), data.password.get_secret_value())


@router.get("/sessions", responses=RESPONSES)
async def list_sessions(user: CurrentUser, logins: LoginsDep) -> list[LoginSession]:
    """List where you are logged in."""
    return [LoginSession.model_validate(login) for login in await logins.list(user)]


@router.delete("/sessions", status_code=status.HTTP_204_NO_CONTENT, responses=RESPONSES)
async def end_sessions(user: CurrentUser, logins: LoginsDep) -> None:
    """Log out everywhere."""
    await logins.end_all(user)


@router.delete(
    "/sessions/{session_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses={**RESPONSES, **errors.responses(SessionNotFound)},
)
async def end_session(session_id: UUID, user: CurrentUser, logins: LoginsDep) -> None:
    """Log out somewhere."""
    await logins.end(session_id, user)


@well_known.get("/.well-known/jwks.json")
async def key_set(auth: AuthDep) -> dict[str, Any]:
    """Return the public keys that verify access tokens (RFC 7517); none where keys are shared secrets."""
    return public_keys(auth.ring)
