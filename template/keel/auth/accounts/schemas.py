"""Request and response models of accounts."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from pydantic import MISSING, AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from keel.text import NO_NUL, SafeStr

MAX_PASSWORD = 256


def _address(value: str) -> str:
    """Return the canonical form of an address: ASCII, lower case; homoglyphs are refused."""
    try:
        found = validate_email(value, check_deliverability=False, allow_smtputf8=False, test_environment=True)
    except EmailNotValidError:
        raise ValueError("this is not an e-mail address") from None
    return (found.ascii_email or found.normalized).lower()


def _login_name(value: str) -> str:
    """Return the key by which an account is found, however its address is typed."""
    try:
        return _address(value.strip())
    except ValueError:
        return value.strip().lower()


Email = Annotated[
    str,
    Field(max_length=254, pattern=NO_NUL, json_schema_extra={"format": "email"}),
    AfterValidator(_address),
]
LoginName = Annotated[
    str,
    Field(max_length=320, pattern=NO_NUL),
    AfterValidator(_login_name),
]
"""An address at login: looked up, never refused."""

Password = Annotated[SecretStr, Field(min_length=1, max_length=MAX_PASSWORD)]
MailedTokenText = Annotated[SecretStr, Field(min_length=1, max_length=200)]


class Input(BaseModel):
    """A body whose unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Address(Input):
    """The address to send an e-mail to."""

    email: Email


class Verification(Input):
    """The token from an e-mail, which proves the address, and the password of the account."""

    token: MailedTokenText
    password: Password


class PasswordChange(Input):
    """A new password, with the current one."""

    current: Password
    new: Password


class PasswordReset(Input):
    """A new password, with the token from an e-mail."""

    token: MailedTokenText
    password: Password


class Deletion(Input):
    """The deletion of an account."""

    password: Password


class Accepted(BaseModel):
    """The response to a request for an e-mail, whether or not the address has an account."""

    detail: str = "If the address allows it, an e-mail is on its way."


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
        description="The scopes that the account is limited to; null means all but `admin`"
    )
    verified_at: datetime | None
    created_at: datetime


Scope = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[!#-\[\]-~]+$")]
"""The name of a scope (RFC 6749, 3.3)."""


class UserUpdate(Input):
    """Changes to an account by an administrator; omitted fields are unchanged."""

    is_active: bool | MISSING = MISSING
    is_admin: bool | MISSING = MISSING
    scopes: Annotated[list[Scope], Field(max_length=50)] | MISSING | None = MISSING


def _as_stored(part: str) -> str:
    """Return a part of an address in the stored form, if it has a complete domain."""
    local, at, domain = part.rpartition("@")
    try:
        return local + at + _address(f"x@{domain}").removeprefix("x@")
    except ValueError:
        return part


class UserQuery(Input):
    """Filters and the page of a list of accounts, newest first."""

    q: Annotated[SafeStr, Field(max_length=254), AfterValidator(_as_stored)] | None = Field(
        default=None, description="A part of the address"
    )
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[SafeStr, Field(max_length=2000)] | None = Field(
        default=None, description="`next` of the previous page"
    )
