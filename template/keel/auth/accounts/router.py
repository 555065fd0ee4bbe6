"""HTTP for accounts."""

from fastapi import APIRouter, status

from keel.auth.accounts.jobs import FORGET_PASSWORD, REQUEST_VERIFICATION
from keel.auth.accounts.passwords import WeakPassword
from keel.auth.accounts.schemas import (
    Accepted,
    Address,
    Deletion,
    PasswordChange,
    PasswordReset,
    User,
    Verification,
)
from keel.auth.dependencies import ACCOUNT_RESPONSES, AccountsDep, AccountUser, ClaimsDep, Queued, Throttled
from keel.auth.problems import InvalidMailedToken, LastAdmin, RegistrationClosed, WrongPassword
from keel.dependencies import JobsDep, SessionDep
from keel.web import errors

router = APIRouter(prefix="/auth", tags=["auth"])


@router.post(
    "/register",
    status_code=status.HTTP_202_ACCEPTED,
    dependencies=[Throttled],
    responses=errors.responses(RegistrationClosed),
)
async def register(data: Address, accounts: AccountsDep) -> Accepted:
    """Create an account, to be confirmed by e-mail. The response does not reveal whether the address has an account."""
    await accounts.register(data.email)
    return Accepted()


@router.post(
    "/verify",
    status_code=status.HTTP_204_NO_CONTENT,
    dependencies=[Throttled, Queued],
    responses=errors.responses(InvalidMailedToken, WeakPassword),
)
async def verify(data: Verification, accounts: AccountsDep) -> None:
    """Confirm an address with the token from an e-mail, and choose the password: only its owner has the token."""
    await accounts.verify(data.token.get_secret_value(), data.password.get_secret_value())


@router.post("/verify/request", status_code=status.HTTP_202_ACCEPTED, dependencies=[Throttled])
async def request_verification(data: Address, jobs: JobsDep, session: SessionDep) -> Accepted:
    """Send the confirmation e-mail again."""
    await jobs.enqueue(session, REQUEST_VERIFICATION, {"email": data.email})
    return Accepted()


@router.get("/me", responses=ACCOUNT_RESPONSES)
async def read_me(user: AccountUser) -> User:
    """Read your account."""
    return User.model_validate(user)


@router.post(
    "/me/delete",
    status_code=status.HTTP_204_NO_CONTENT,
    dependencies=[Queued],
    responses={**ACCOUNT_RESPONSES, **errors.responses(WrongPassword, LastAdmin)},
)
async def delete_me(data: Deletion, user: AccountUser, accounts: AccountsDep) -> None:
    """Delete your account, with everything that belongs to it."""
    await accounts.delete(user, data.password.get_secret_value())


@router.post(
    "/password/change",
    status_code=status.HTTP_204_NO_CONTENT,
    dependencies=[Queued],
    responses={**ACCOUNT_RESPONSES, **errors.responses(WrongPassword, WeakPassword)},
)
async def change_password(data: PasswordChange, claims: ClaimsDep, user: AccountUser, accounts: AccountsDep) -> None:
    """Choose a new password. Every other login ends."""
    current, new = data.current.get_secret_value(), data.new.get_secret_value()
    await accounts.change_password(user, current, new, keep=claims.session_id)


@router.post("/password/forgot", status_code=status.HTTP_202_ACCEPTED, dependencies=[Throttled])
async def forget_password(data: Address, jobs: JobsDep, session: SessionDep) -> Accepted:
    """Send a link to choose a new password."""
    await jobs.enqueue(session, FORGET_PASSWORD, {"email": data.email})
    return Accepted()


@router.post(
    "/password/reset",
    status_code=status.HTTP_204_NO_CONTENT,
    dependencies=[Throttled, Queued],
    responses=errors.responses(InvalidMailedToken, WeakPassword),
)
async def reset_password(data: PasswordReset, accounts: AccountsDep) -> None:
    """Choose a new password with the token from an e-mail. Every login ends."""
    await accounts.reset_password(data.token.get_secret_value(), data.password.get_secret_value())
