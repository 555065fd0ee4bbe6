"""The provider's discovery document (OpenID Connect Discovery 1.0, 3)."""

from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from keel.auth.oidc.settings import OidcSettings

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "Ed25519", "EdDSA"),
)
"""Accepted signature algorithms: asymmetric ones only."""


class InvalidMetadata(ValueError):
    """The document is invalid, of another issuer, or names untrusted endpoints."""


class Metadata(BaseModel):
    """The provider's endpoints and capabilities."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    id_token_signing_alg_values_supported: list[str]
    token_endpoint_auth_methods_supported: list[str] = ["client_secret_basic"]
    authorization_response_iss_parameter_supported: bool = False

    @property
    def algorithms(self) -> list[str]:
        """Return the algorithms that an ID token may be signed with."""
        return [name for name in ALGORITHMS if name in self.id_token_signing_alg_values_supported]

    def auth_method(self, *, secret: bool) -> str:
        """Return the authentication method for the token endpoint."""
        if not secret:
            return "none"
        basic = "client_secret_basic"
        return basic if basic in self.token_endpoint_auth_methods_supported else "client_secret_post"


def read_metadata(document: Any, settings: OidcSettings) -> Metadata:
    """Parse and check a discovery document.

    Raises:
        InvalidMetadata: it names another issuer, or is not usable.
    """
    try:
        metadata = Metadata.model_validate(document)
    except ValidationError as error:
        raise InvalidMetadata(f"missing or wrong: {[e['loc'] for e in error.errors()]}") from None
    if metadata.issuer != settings.issuer:
        raise InvalidMetadata("it names another issuer")
    # To joserfc, an empty list means all recommended algorithms, including HS256.
    if not metadata.algorithms:
        raise InvalidMetadata("it offers no asymmetric signature algorithm")
    schemes = {"https"} if settings.deployed else {"https", "http"}
    endpoints = (metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri)
    for url in (*endpoints, metadata.userinfo_endpoint or metadata.issuer):
        parts = urlsplit(url)
        if parts.scheme not in schemes or not parts.hostname or "@" in parts.netloc or parts.fragment:
            raise InvalidMetadata("an endpoint is not an https URL")
    return metadata
