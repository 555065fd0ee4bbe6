"""Request and response models of personal access tokens."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from keel.auth.settings import MAX_PERSONAL_TOKEN_DAYS
from keel.text import SafeStr

SCOPES = r"^[!#-\[\]-~]+( [!#-\[\]-~]+)*$"
"""At least one scope (RFC 6749, 3.3)."""


class PersonalTokenCreate(BaseModel):
    """A token to create."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[SafeStr, Field(min_length=1, max_length=100, description="What the token is for")]
    scope: Annotated[
        str,
        Field(
            pattern=SCOPES,
            max_length=1000,
            description="The token's scopes, separated by spaces: a subset of your login's",
        ),
    ]
    days: Annotated[int, Field(ge=1, le=MAX_PERSONAL_TOKEN_DAYS)] | None = Field(
        default=None, description="Days until the token expires; by default 30, or the maximum if that is lower"
    )


class PersonalToken(BaseModel):
    """A token, without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    hint: str = Field(description="The last characters of the token")
    scope: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = Field(description="To the minute; null if it was never used")


class NewPersonalToken(PersonalToken):
    """A new token, with its secret, which is shown once."""

    token: str = Field(description="Send it as `Authorization: Bearer …`, and store it like a password")
