"""Validation of the discovery document."""

import pytest

from keel.auth.oidc.provider.metadata import InvalidMetadata, read_metadata
from keel.auth.oidc.settings import OidcSettings

RIGHT = {
    "issuer": "https://id.example",
    "authorization_endpoint": "https://id.example/authorize",
    "token_endpoint": "https://id.example/token",
    "jwks_uri": "https://id.example/keys",
    "id_token_signing_alg_values_supported": ["RS256"],
}


@pytest.mark.parametrize(
    "said",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "/oauth2/authorize"},
        {"token_endpoint": "file:///etc/passwd"},
        {"token_endpoint": "http://user:password@localhost/"},
        {"jwks_uri": "ftp://localhost/"},
        {"jwks_uri": "https://"},
        {"userinfo_endpoint": "gopher://localhost/"},
        {"id_token_signing_alg_values_supported": []},
        {"id_token_signing_alg_values_supported": ["none", "HS256", "HS512"]},
        {"id_token_signing_alg_values_supported": "RS256"},
    ],
)
def test_wrong_discovery(said: dict[str, object]) -> None:
    """A document with another issuer, untrusted endpoints or no safe algorithm is refused."""
    settings = OidcSettings(issuer="https://id.example", client_id="harbour")
    assert read_metadata(RIGHT, settings).issuer == "https://id.example"

    with pytest.raises(InvalidMetadata):
        read_metadata(RIGHT | said, settings)


def test_deployed_needs_https() -> None:
    """In deployments, endpoints without HTTPS are refused."""
    local = OidcSettings(issuer="https://id.example", client_id="harbour")
    deployed = local.model_copy(update={"environment": "production"})
    assert read_metadata(RIGHT, deployed).jwks_uri == "https://id.example/keys"

    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"):
        plain = RIGHT | {name: "http://id.example/x"}
        assert read_metadata(plain, local).issuer == "https://id.example"
        with pytest.raises(InvalidMetadata):
            read_metadata(plain, deployed)
