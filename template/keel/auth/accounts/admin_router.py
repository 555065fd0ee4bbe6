"""HTTP for administrators."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from keel.auth.accounts.schemas import User, UserQuery, UserUpdate
from keel.auth.dependencies import ACCOUNT_RESPONSES, AdministrationDep, CurrentAdmin
from keel.auth.problems import InvalidScope, LastAdmin, UserNotFound
from keel.web import errors
from keel.web.pagination import Page

router = APIRouter(prefix="/users", tags=["users"], responses=ACCOUNT_RESPONSES)


@router.get("")
async def list_users(
    query: Annotated[UserQuery, Query()], _: CurrentAdmin, administration: AdministrationDep
) -> Page[User]:
    """List accounts, newest first."""
    users, following = await administration.list(query)
    return Page(items=[User.model_validate(user) for user in users], next=following)


@router.get("/{user_id}", responses=errors.responses(UserNotFound))
async def read_user(user_id: UUID, _: CurrentAdmin, administration: AdministrationDep) -> User:
    """Read an account."""
    return User.model_validate(await administration.get(user_id))


@router.patch("/{user_id}", responses=errors.responses(UserNotFound, InvalidScope, LastAdmin))
async def update_user(user_id: UUID, data: UserUpdate, admin: CurrentAdmin, administration: AdministrationDep) -> User:
    """Activate or deactivate an account, set its scopes, grant or revoke administration."""
    return User.model_validate(await administration.update(user_id, data, by=admin.subject))
