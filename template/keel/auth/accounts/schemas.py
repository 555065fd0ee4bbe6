"""What callers send and get about accounts."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from pydantic import MISSING, AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from keel.text import NO_NUL, SafeStr

MAX_PASSWORD = 256


def _address(value: str) -> str:
    """Return the one way to write an address: ASCII, lower case; what only looks like another's is refused."""
    try:
        found = validate_email(value, check_deliverability=False, allow_smtputf8=False, test_environment=True)
    except EmailNotValidError:
        raise ValueError("this is not an e-mail address") from None
    return (found.ascii_email or found.normalized).lower()


Email = Annotated[
    str,
    Field(max_length=254, pattern=NO_NUL, json_schema_extra={"format": "email"}),
    AfterValidator(_address),
]
LoginName = Annotated[
    str,
    Field(max_length=320, pattern=NO_NUL),
    AfterValidator(lambda value: value.strip().lower()),
]
"""What somebody who logs in calls their address: it is looked up, not checked."""

Password = Annotated[SecretStr, Field(min_length=1, max_length=MAX_PASSWORD)]
MailedTokenText = Annotated[SecretStr, Field(min_length=1, max_length=200)]


class Input(BaseModel):
    """A body whose unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Registration(Input):
    """A new account."""

    email: Email
    password: Password


class Address(Input):
    """Where a mail goes to."""

    email: Email


class Verification(Input):
    """Proof that a mail arrived."""

    token: MailedTokenText


class PasswordChange(Input):
    """A new password from somebody who knows the old one."""

    current: Password
    new: Password


class PasswordReset(Input):
    """A new password from somebody who got a mail."""

    token: MailedTokenText
    password: Password


class Deletion(Input):
    """The end of an account."""

    password: Password


class Accepted(BaseModel):
    """What anybody is told who asks for a mail, whether or not the address is known."""

    detail: str = "If that is possible, a mail is on its way."


def _split(value: object) -> object:
    return value.split() if isinstance(value, str) else value


class User(BaseModel):
    """An account."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    subject: str
    email: str
    is_active: bool
    is_admin: bool
    scopes: Annotated[list[str] | None, BeforeValidator(_split)] = Field(
        description="What the account may do at most; null for everything but to administer"
    )
    verified_at: datetime | None
    created_at: datetime


Scope = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[!#-\[\]-~]+$")]
"""The name of a scope (RFC 6749, 3.3)."""


class UserUpdate(Input):
    """Changes to an account by an administrator; what is left out stays as it is."""

    is_active: bool | MISSING = MISSING
    is_admin: bool | MISSING = MISSING
    scopes: Annotated[list[Scope], Field(max_length=50)] | MISSING | None = MISSING


class UserQuery(Input):
    """Which accounts a list holds, the newest first."""

    q: Annotated[SafeStr, Field(max_length=254)] | None = Field(default=None, description="A part of the address")
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[SafeStr, Field(max_length=2000)] | None = Field(
        default=None, description="`next` of the page before"
    )
