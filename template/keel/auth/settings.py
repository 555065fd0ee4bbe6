"""Settings of auth."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, HttpUrl, SecretStr, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from keel.about import SLUG
from keel.settings import DevDefault, Rate, Settings, split_commas

MAX_PERSONAL_TOKEN_DAYS = 366

KEY_BYTES = 32
LOCAL_KEY = urlsafe_b64encode(b"a well-known key for local use only").decode().rstrip("=")
"""Signs tokens on a developer's machine; refused elsewhere."""


HOW_TO_MAKE_A_KEY = 'make one with: python3 -c "import secrets; print(secrets.token_urlsafe(32))"'


def key_bytes(key: str) -> bytes:
    """Return the bytes of a key."""
    return urlsafe_b64decode(key + "=" * (-len(key) % 4))


def _strong(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if not keys:
        raise ValueError("set at least one key")
    for key in keys:
        try:
            length = len(key_bytes(key.get_secret_value()))
        except ValueError:
            raise ValueError(f"a key must be base64url text; {HOW_TO_MAKE_A_KEY}") from None
        if length < KEY_BYTES:
            raise ValueError(f"a key must be base64url of at least {KEY_BYTES} bytes; {HOW_TO_MAKE_A_KEY}")
    return keys


class AuthSettings(Settings):
    """Settings of accounts, logins and tokens."""

    model_config = SettingsConfigDict(env_prefix="AUTH_")

    signing_keys: Annotated[tuple[SecretStr, ...], NoDecode, split_commas, AfterValidator(_strong)] = (
        SecretStr(LOCAL_KEY),
    )
    """Keys that sign tokens, separated by commas: the first signs, all verify. Put a new one in front to rotate."""

    algorithm: Literal["HS256", "Ed25519"] = "HS256"
    """Ed25519 (EdDSA, RFC 9864) lets others verify tokens with `/.well-known/jwks.json`; HS256 is faster."""

    issuer: str = SLUG
    audience: str = "api"

    access_minutes: Annotated[float, Field(gt=0, le=60)] = 15
    """Lifetime of an access token in minutes; it cannot be revoked earlier."""

    session_days: Annotated[float, Field(gt=0)] = 30
    """Days without use after which a session ends."""

    session_max_days: Annotated[float, Field(gt=0)] = 90
    """Days after login at which a session ends, however much it is used."""

    personal_token_days: Annotated[int, Field(ge=1, le=MAX_PERSONAL_TOKEN_DAYS)] = MAX_PERSONAL_TOKEN_DAYS
    """The longest lifetime of a personal access token, in days."""

    personal_tokens_max: Annotated[int, Field(ge=0)] = 50
    """Personal access tokens that one account may have at a time."""

    registration: bool = True
    """Whether accounts can be registered by anyone."""

    public_url: Annotated[HttpUrl, DevDefault] = HttpUrl("http://localhost:8000")
    """The base URL of links in e-mails; you provide these pages."""

    verify_hours: Annotated[float, Field(gt=0)] = 24
    """Lifetime of a link to verify an address, in hours."""

    reset_minutes: Annotated[float, Field(gt=0)] = 30
    """Lifetime of a link to reset a password, in minutes."""

    rate_limit_per_account: Rate = "10/15minute"
    """Limit of failed attempts to log in to one account, or to give its current password."""

    rate_limit_per_ip: Rate = "100/15minute"
    """Limit of attempts to log in, register or request an e-mail, from one IP address."""

    password_min_length: Annotated[int, Field(ge=8)] = 15
    """Characters of a password; NIST SP 800-63B-4 requires 15 where it is the only factor."""

    hash_memory: Annotated[int, Field(ge=8)] = 65536
    """Memory that hashing a password takes (argon2id), in KiB."""

    hash_time: Annotated[int, Field(ge=1)] = 3
    """Passes of argon2id."""

    hash_threads: Annotated[int, Field(ge=1)] = 2
    """Passwords hashed concurrently; further ones wait."""

    hash_queue: Annotated[int, Field(ge=1)] = 32
    """Requests with a password in progress in one process; a caller or an address may have a quarter of them."""

    @model_validator(mode="after")
    def _refuse_the_local_key(self) -> Self:
        if self.deployed and any(key.get_secret_value() == LOCAL_KEY for key in self.signing_keys):
            raise ValueError(
                f"AUTH_SIGNING_KEYS: set it when ENVIRONMENT={self.environment.value}; {HOW_TO_MAKE_A_KEY}"
            )
        return self
