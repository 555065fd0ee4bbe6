"""HTTP for personal access tokens."""

from uuid import UUID

from fastapi import APIRouter, Response, status

from keel.auth.dependencies import ACCOUNT_RESPONSES, AccountUser, ClaimsDep, PersonalTokensDep, Throttled
from keel.auth.personal_tokens.schemas import NewPersonalToken, PersonalToken, PersonalTokenCreate
from keel.auth.problems import InvalidScope, PersonalTokenNotFound, TokenLifetimeTooLong, TooManyPersonalTokens
from keel.web import errors

router = APIRouter(prefix="/auth/tokens", tags=["auth"], responses=ACCOUNT_RESPONSES)


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    dependencies=[Throttled],
    responses=errors.responses(InvalidScope, TokenLifetimeTooLong, TooManyPersonalTokens),
)
async def create_personal_token(
    data: PersonalTokenCreate, claims: ClaimsDep, user: AccountUser, tokens: PersonalTokensDep, response: Response
) -> NewPersonalToken:
    """Create a token for a machine. It is shown once: only its digest is stored."""
    response.headers["Cache-Control"] = "no-store"
    token, text = await tokens.create(user, claims, data)
    return NewPersonalToken(**PersonalToken.model_validate(token).model_dump(), token=text)


@router.get("")
async def list_personal_tokens(user: AccountUser, tokens: PersonalTokensDep) -> list[PersonalToken]:
    """List your tokens, newest first."""
    return [PersonalToken.model_validate(token) for token in await tokens.list(user)]


@router.delete("/{token_id}", status_code=status.HTTP_204_NO_CONTENT, responses=errors.responses(PersonalTokenNotFound))
async def revoke_personal_token(token_id: UUID, user: AccountUser, tokens: PersonalTokensDep) -> None:
    """Revoke a token, effective from the next request."""
    await tokens.revoke(token_id, user)
