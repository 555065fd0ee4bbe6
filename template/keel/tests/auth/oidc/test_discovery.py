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


def test_accepted_algorithms() -> None:
    """All those with a public key, in our order; `none` and those with a shared secret are passed over."""
    settings = OidcSettings(issuer="https://id.example", client_id="harbour")
    safe = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"]
    offered = ["none", "HS256", *reversed(safe)]

    assert read_metadata(RIGHT | {"id_token_signing_alg_values_supported": offered}, settings).algorithms == safe


@pytest.mark.parametrize(
    ("said", "secret", "method"),
    [
        ({}, False, "none"),
        ({}, True, "client_secret_basic"),
        (
            {"token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"]},
            True,
            "client_secret_basic",
        ),
        ({"token_endpoint_auth_methods_supported": ["client_secret_post"]}, True, "client_secret_post"),
    ],
)
def test_authentication_at_the_token_endpoint(said: dict[str, object], method: str, *, secret: bool) -> None:
    """Without a secret there is none; with one, HTTP Basic unless the provider offers only the other."""
    metadata = read_metadata(RIGHT | said, OidcSettings(issuer="https://id.example", client_id="harbour"))

    assert metadata.auth_method(secret=secret) == method
    assert not metadata.authorization_response_iss_parameter_supported


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
