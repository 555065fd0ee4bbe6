"""ID tokens: wrong claims and wrong signatures are refused."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from joserfc import jwk, jwt
from joserfc.jws import JWSRegistry

from keel.auth.oidc.provider.id_token import InvalidIdToken, UnknownKey, _half_hash, verify_id_token
from keel.auth.oidc.provider.metadata import read_metadata
from keel.auth.oidc.settings import OidcSettings

if TYPE_CHECKING:
    from keel.tests.auth.oidc.provider import LoopbackProvider

ISSUER = "https://id.example"
NOW = int(time.time())
RIGHT = {
    "iss": ISSUER,
    "aud": "harbour",
    "sub": "ada-there",
    "nonce": "nonce",
    "iat": NOW,
    "exp": NOW + 60,
    "at_hash": _half_hash("access", "ES256"),
}


@pytest.fixture(autouse=True)
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: float(NOW))


@cache
def provider_key() -> jwk.ECKey:
    """Return the key that the provider publishes, by the name `published`."""
    return jwk.ECKey.generate_key("P-256", {"kid": "published"})


@pytest.fixture
def rsa_key(loopback: "LoopbackProvider") -> jwk.RSAKey:
    """Return another RSA key: the loopback provider's, because generating one is slow."""
    return jwk.RSAKey.import_key(loopback.key.as_dict(private=True), {"kid": "published"})


def verify(token: str, key: Any = None, algorithms: Sequence[str] = ("ES256",)) -> dict[str, Any]:
    """Check a token against the public key of a provider."""
    public = jwk.KeySet.import_key_set({"keys": [(key or provider_key()).as_dict(private=False)]})
    expected = {"issuer": ISSUER, "client_id": "harbour", "nonce": "nonce", "access_token": "access"}
    return verify_id_token(token, public, algorithms=algorithms, **expected)


def sign(claims: dict[str, Any], *, key: Any = None, alg: str = "ES256", **header: Any) -> str:
    """Sign claims; claims and headers that are None are left out."""
    said = {name: value for name, value in claims.items() if value is not None}
    headers = {"alg": alg, "kid": "published", **header}
    headers = {name: value for name, value in headers.items() if value is not None}
    return jwt.encode(headers, said, key or provider_key(), [alg])


def _part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def forge(header: dict[str, object], secret: bytes | None) -> str:
    """Sign valid claims with a shared secret, or not at all."""
    text = f"{_part(header)}.{_part(RIGHT | {'at_hash': _half_hash('access', 'RS256')})}"
    return f"{text}.{_part(hmac.digest(secret, text.encode(), 'sha256')) if secret else ''}"


def offered(*algorithms: str) -> list[str]:
    """Return the accepted ones among the algorithms that discovery offers."""
    endpoints = dict.fromkeys(("authorization_endpoint", "token_endpoint", "jwks_uri"), f"{ISSUER}/x")
    document = {"issuer": ISSUER, **endpoints, "id_token_signing_alg_values_supported": algorithms}
    return read_metadata(document, OidcSettings(issuer=ISSUER, client_id="harbour")).algorithms


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"nonce": ["another"]},
        {"nonce": ["nonce"]},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "another"},
        {"aud": ["another"]},
        {"aud": []},
        {"aud": None},
        {"aud": ["harbour", "another"]},
        {"aud": ["harbour", "another"], "azp": "another"},
        {"azp": "another"},
        {"exp": NOW - 61},
        {"exp": None},
        {"exp": "tomorrow"},
        {"iat": NOW + 600},
        {"iat": None},
        {"nbf": NOW + 600},
        {"sub": None},
        {"sub": ""},
        {"sub": 1},
        {"sub": "x" * 256},
        {"sub": "ad\u0430"},
        {"sub": "a\0"},
        {"at_hash": "another"},
        {"at_hash": 1},
    ],
)
def test_wrong_claims(claims: dict[str, object]) -> None:
    """A token signed by the provider is refused unless it is for this client, this attempt and this time."""
    with pytest.raises(InvalidIdToken) as refused:
        verify(sign(RIGHT | claims))

    assert refused.type is InvalidIdToken


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"aud": ["harbour"]},
        {"aud": ["harbour", "b"], "azp": "harbour"},
        {"at_hash": None},
        {"exp": NOW - 30},
        {"iat": NOW + 30},
        {"sub": "x" * 255},
    ],
)
def test_right_claims(claims: dict[str, object]) -> None:
    """Optional claims are accepted, and a small clock skew is tolerated."""
    assert verify(sign(RIGHT | claims))["iss"] == ISSUER


@pytest.mark.parametrize("alg", ["none", "None", "NONE"])
def test_unsigned(rsa_key: jwk.RSAKey, alg: str) -> None:
    """An unsigned token is refused, even if discovery offers `none`."""
    with pytest.raises(InvalidIdToken):
        verify(forge({"alg": alg}, None), rsa_key, offered("RS256", "none"))


@pytest.mark.parametrize("form", ["pem", "der", "jwk", "client secret"])
def test_shared_secret(rsa_key: jwk.RSAKey, form: str) -> None:
    """HS256 is refused, even if discovery offers it, with the public key and with our secret."""
    secrets = {
        "pem": rsa_key.as_pem(private=False),
        "der": rsa_key.as_der(private=False),
        "jwk": json.dumps(rsa_key.as_dict(private=False)).encode(),
        "client secret": b"a secret of the tests",
    }

    with pytest.raises(InvalidIdToken):
        verify(forge({"alg": "HS256", "kid": "published"}, secrets[form]), rsa_key, offered("RS256", "HS256"))


@pytest.mark.parametrize(("kid", "refusal"), [("published", InvalidIdToken), ("other", UnknownKey), (None, UnknownKey)])
def test_another_key(kid: str | None, refusal: type[Exception]) -> None:
    """An unknown key is refused; it may only be a new key if its id is unknown, too."""
    own = jwk.ECKey.generate_key("P-256")

    with pytest.raises(InvalidIdToken) as refused:
        verify(sign(RIGHT, key=own, kid=kid))

    assert refused.type is refusal


@pytest.mark.parametrize("header", ["jwk", "jku"])
@pytest.mark.parametrize("kid", ["published", None])
def test_key_in_the_header(header: str, kid: str | None) -> None:
    """A token cannot bring its own key, nor say where to fetch one."""
    own = jwk.ECKey.generate_key("P-256")
    brought: dict[str, Any] = {"jwk": own.as_dict(private=False), "jku": "https://evil.example/jwks"}

    with pytest.raises(InvalidIdToken):
        verify(sign(RIGHT, key=own, kid=kid, **{header: brought[header]}))


def test_algorithm_that_is_not_offered(rsa_key: jwk.RSAKey) -> None:
    """The right key with an algorithm that discovery does not offer is refused."""
    hashed = {alg: RIGHT | {"at_hash": _half_hash("access", alg)} for alg in ("RS256", "RS512")}
    tokens = {alg: sign(claims, key=rsa_key, alg=alg) for alg, claims in hashed.items()}

    assert verify(tokens["RS256"], rsa_key, offered("RS256"))["sub"] == "ada-there"
    assert verify(tokens["RS512"], rsa_key, offered("RS256", "RS512"))["sub"] == "ada-there"
    with pytest.raises(InvalidIdToken):
        verify(tokens["RS512"], rsa_key, offered("RS256"))


def test_only_algorithms_that_are_offered() -> None:
    """The key's own algorithm is refused where discovery does not offer it."""
    with pytest.raises(InvalidIdToken):
        verify(sign(RIGHT), algorithms=["ES384"])


def test_headers_of_the_provider_s_own() -> None:
    """A header that no standard knows changes nothing."""
    registry = JWSRegistry(algorithms=["ES256"], strict_check_header=False)
    header = {"alg": "ES256", "kid": "published", "tenant": "a"}

    assert verify(jwt.encode(header, RIGHT, provider_key(), registry=registry))["sub"] == "ada-there"


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "a.b.c.d.e", "\u00e9.b.c"])
def test_no_token(token: str) -> None:
    """A malformed token is refused."""
    with pytest.raises(InvalidIdToken):
        verify(token)


@pytest.mark.parametrize(("algorithm", "bits"), [("RS256", 256), ("PS384", 384), ("ES512", 512), ("Ed25519", 512)])
def test_half_hash(algorithm: str, bits: int) -> None:
    """`at_hash` uses the hash function of the signature."""
    whole = hashlib.new(f"sha{bits}", b"token").digest()

    assert _half_hash("token", algorithm) == _part(whole[: bits // 16])
