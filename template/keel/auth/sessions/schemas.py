"""Request and response models of logins."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from keel.auth.accounts.schemas import MAX_PASSWORD, Input, LoginName, Password
from keel.text import SafeStr


class Refresh(Input):
    """A refresh token, which can be used once."""

    refresh_token: Annotated[SecretStr, Field(min_length=1, max_length=200)]


class TokenRequest(BaseModel):
    """A request for tokens, as a form (RFC 6749, 4.3 and 6)."""

    grant_type: Literal["password", "refresh_token"] = "password"
    username: LoginName = ""
    password: Annotated[SecretStr, Field(max_length=MAX_PASSWORD)] = SecretStr("")
    refresh_token: Annotated[SecretStr, Field(max_length=200)] = SecretStr("")
    scope: Annotated[SafeStr, Field(max_length=1000)] = ""
    client_id: str | None = None
    client_secret: str | None = None

    def missing(self) -> list[str]:
        """Return the required fields of the grant that are empty."""
        needed = ["refresh_token"] if self.grant_type == "refresh_token" else ["username", "password"]
        given = {"username": self.username, "password": self.password, "refresh_token": self.refresh_token}
        return [name for name in needed if not given[name]]


class BrowserLogin(Input):
    """A login of a browser."""

    email: LoginName
    password: Password
    scope: Annotated[SafeStr, Field(max_length=1000)] = ""


class Token(BaseModel):
    """Tokens (RFC 6749, 5.1)."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a kind
    expires_in: int = Field(description="Lifetime of the access token in seconds")
    refresh_token: str
    scope: str = Field(description="Granted scopes, separated by spaces")


class LoginSession(BaseModel):
    """A login."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    scope: str
    user_agent: str
    created_at: datetime
    used_at: datetime
    expires_at: datetime
