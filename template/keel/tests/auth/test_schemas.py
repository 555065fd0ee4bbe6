"""Validation of e-mail addresses, scopes, secrets and tokens in requests."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from pydantic import TypeAdapter, ValidationError

from keel.auth.accounts.schemas import Email, LoginName, MailedTokenText, Password, Scope, User, UserQuery, UserUpdate
from keel.auth.personal_tokens.format import checksum, hint, is_well_formed, new_personal_token
from keel.text import NO_NUL

ADDRESSES = {
    "Ada@Example.com": "ada@example.com",
    "a.b+c@EXAMPLE.test": "a.b+c@example.test",
    "ada@b\u00fccher.example": "ada@xn--bcher-kva.example",
}


def test_email_addresses() -> None:
    """Addresses are normalized, so that an account is found whatever the spelling."""
    assert {text: TypeAdapter(Email).validate_python(text) for text in ADDRESSES} == ADDRESSES
    assert {text: TypeAdapter(LoginName).validate_python(f" {text}\n") for text in ADDRESSES} == ADDRESSES


@pytest.mark.parametrize(
    "text", ["", "ada", "@example.com", "\u0430da@example.com", "a\x00@example.com", f"{'a' * 64}@{'b.' * 95}c"]
)
def test_invalid_email_addresses(text: str) -> None:
    """Refused, including homoglyphs."""
    with pytest.raises(ValidationError):
        TypeAdapter(Email).validate_python(text)


def test_login_name_that_is_not_an_address() -> None:
    """It is accepted at login, where it matches no account."""
    names = TypeAdapter(LoginName)

    assert names.validate_python(" Ada ") == "ada"
    assert len(names.validate_python("A" * 320)) == 320
    for wrong in ("a" * 321, "a\x00"):
        with pytest.raises(ValidationError):
            names.validate_python(wrong)


PARTS = {
    "Ada": "Ada",
    "@B\u00fccher.example": "@xn--bcher-kva.example",
    "Ada@Example.com": "Ada@example.com",
    "ada@": "ada@",
    '"a@b"@Example.com': '"a@b"@example.com',
    "@": "@",
}


def test_search_for_parts_of_addresses() -> None:
    """The domain after an @ is normalized as in stored addresses; anything else is unchanged."""
    assert {part: UserQuery(q=part).q for part in PARTS} == PARTS
    assert (UserQuery().q, UserQuery().limit, UserQuery().cursor) == (None, 20, None)
    assert [UserQuery(limit=limit).limit for limit in (1, 100)] == [1, 100]
    for wrong in ({"limit": 0}, {"limit": 101}, {"q": "a" * 255}, {"cursor": "a" * 2001}, {"page": 1}):
        with pytest.raises(ValidationError):
            UserQuery.model_validate(wrong)


@pytest.mark.parametrize("name", ["notes:read", "!", "#", "[", "]", "~", "a" * 100])
def test_scopes(name: str) -> None:
    """The characters that RFC 6749 allows."""
    assert UserUpdate.model_validate({"scopes": [name]}).scopes == [name]


@pytest.mark.parametrize("name", ["", " ", '"', "\\", "\x7f", "a b", "\u00fc", "a" * 101])
def test_invalid_scopes(name: str) -> None:
    """Other characters, such as spaces and quotes, are refused."""
    with pytest.raises(ValidationError):
        TypeAdapter(Scope).validate_python(name)


def test_json_schema_of_email() -> None:
    """Generated clients can validate addresses."""
    expected = {"type": "string", "format": "email", "maxLength": 254, "pattern": NO_NUL}

    assert TypeAdapter(Email).json_schema() == expected


@pytest.mark.parametrize(("secret", "longest"), [(Password, 256), (MailedTokenText, 200)])
def test_secrets(secret: Any, longest: int) -> None:
    """Secrets are not empty, and short enough to be hashed quickly."""
    texts = TypeAdapter(secret)

    assert [len(texts.validate_python("a" * length)) for length in (1, longest)] == [1, longest]
    for length in (0, longest + 1):
        with pytest.raises(ValidationError):
            texts.validate_python("a" * length)


@pytest.mark.parametrize(("stored", "scopes"), [("a b", ["a", "b"]), ("", []), (None, None), (["a"], ["a"])])
def test_stored_scopes(stored: object, scopes: object) -> None:
    """Scopes are a string in the database and a list in responses."""
    row = SimpleNamespace(
        id=UUID(int=1),
        subject="1",
        email="ada@example.com",
        is_active=True,
        is_admin=False,
        scopes=stored,
        verified_at=None,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )

    assert User.model_validate(row).scopes == scopes
    assert set(User.model_json_schema()["required"]) == {*User.model_fields}


def test_account_update() -> None:
    """Omitted fields stay unchanged; null removes the limit."""
    assert UserUpdate().model_dump() == {}
    assert UserUpdate(scopes=None).model_dump() == {"scopes": None}


TOKEN = "pat_" + "Ab0-_" * 8 + "xyz" + "3wnbNp"


def test_personal_tokens() -> None:
    """The checksum is the same as in GitHub's tokens, which secret scanners verify."""
    assert checksum("Ab0-_" * 8 + "xyz") == TOKEN[-6:]
    assert checksum("") == "000000"
    assert is_well_formed(TOKEN)
    assert hint(TOKEN) == TOKEN[-4:]
    made = new_personal_token()
    assert is_well_formed(made)
    assert (len(made), made[:4], made != new_personal_token()) == (53, "pat_", True)


@pytest.mark.parametrize(
    "token",
    [
        TOKEN[4:],
        "PAT_" + TOKEN[4:],
        TOKEN[:-1],
        TOKEN + "0",
        TOKEN[:-1] + "B",
        TOKEN.replace("-", "+"),
        TOKEN + "\n",
        "",
    ],
)
def test_malformed_personal_tokens(token: str) -> None:
    """They can be refused without a query."""
    assert not is_well_formed(token)
