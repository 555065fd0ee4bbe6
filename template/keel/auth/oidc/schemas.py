"""Requests of sign-in with OpenID Connect."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from keel.text import SafeStr

Challenge = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_-]{43}$", description="BASE64URL(SHA256(verifier)) of a verifier you keep (RFC 7636)"),
]


class ProviderAnswer(BaseModel):
    """The provider's response, as query parameters (OpenID Connect Core 1.0, 3.1.2.5; RFC 9207)."""

    model_config = ConfigDict(extra="ignore")

    state: Annotated[SafeStr, Field(max_length=200)] = ""
    code: Annotated[SafeStr, Field(max_length=4096)] = ""
    error: Annotated[SafeStr, Field(max_length=200)] = ""
    iss: Annotated[SafeStr, Field(max_length=255)] | None = None


class CodeExchange(BaseModel):
    """A code from the end of a sign-in, and the verifier from its beginning."""

    model_config = ConfigDict(extra="forbid")

    code: Annotated[SecretStr, Field(min_length=1, max_length=200)]
    code_verifier: Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]{43,128}$")]
    scope: Annotated[SafeStr, Field(max_length=1000)] = ""
