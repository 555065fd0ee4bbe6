"""ID tokens: each claim that is wrong, and each way to sign one without the provider's key, is refused."""

import base64
import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from joserfc import jwk
from sqlalchemy import func, select

from app.auth.models import User
from app.auth.oidc import cache
from app.auth.oidc.id_token import _half_hash
from tests.auth.oidc.conftest import SignIn

if TYPE_CHECKING:
    from tests.auth.oidc.provider import LoopbackProvider

TOKEN = "/oauth2/token"
NOW = int(time.time())


async def assert_refused(app: FastAPI, sign_in: SignIn) -> None:
    """Make sure that nobody is signed in, and that there is no account."""
    answer = await sign_in()

    assert answer.status_code == 502, answer.text
    assert answer.json()["type"] == "urn:problem:provider-fault"
    async with app.state.database.transaction() as session:
        assert (await session.scalars(select(func.count()).select_from(User))).one() == 0


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"nonce": ["another"]},
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
async def test_wrong_claims(
    oidc_app: FastAPI, sign_in: SignIn, provider: "LoopbackProvider", claims: dict[str, object]
) -> None:
    """A token signed by the provider itself is refused if it is not for us, for this attempt, and for now."""
    provider.change_claims(claims)

    await assert_refused(oidc_app, sign_in)


@pytest.mark.parametrize(
    "claims", [{}, {"aud": ["harbour"]}, {"aud": ["harbour", "b"], "azp": "harbour"}, {"at_hash": None}]
)
async def test_right_claims(sign_in: SignIn, provider: "LoopbackProvider", claims: dict[str, object]) -> None:
    """What a provider may say, it may."""
    provider.change_claims(claims)

    assert (await sign_in()).status_code == 303


def _part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def forge(provider: "LoopbackProvider", header: dict[str, object], secret: bytes | None) -> None:
    """Let ID tokens be signed with a shared secret, or not at all."""
    from tests.auth.oidc.provider import claims_of

    def change(token: dict[str, Any]) -> dict[str, Any]:
        text = f"{_part(header)}.{_part(claims_of(token['id_token']))}"
        signature = _part(hmac.digest(secret, text.encode(), "sha256")) if secret else ""
        return {**token, "id_token": f"{text}.{signature}"}

    provider.changes[TOKEN] = change


@pytest.mark.parametrize("alg", ["none", "None", "NONE"])
async def test_unsigned(oidc_app: FastAPI, sign_in: SignIn, provider: "LoopbackProvider", alg: str) -> None:
    """A token without a signature is nobody's, also where discovery offers `none`."""
    offer(provider, "RS256", "none")
    forge(provider, {"alg": alg}, None)

    await assert_refused(oidc_app, sign_in)


@pytest.mark.parametrize("form", ["pem", "der", "jwk"])
async def test_public_key_as_secret(
    oidc_app: FastAPI, sign_in: SignIn, provider: "LoopbackProvider", form: str
) -> None:
    """The key that everybody can read signs nothing, also where discovery offers HS256 (algorithm confusion)."""
    key = provider.key
    secrets = {
        "pem": key.as_pem(private=False),
        "der": key.as_der(private=False),
        "jwk": json.dumps(key.as_dict(private=False)).encode(),
    }
    offer(provider, "RS256", "HS256")
    forge(provider, {"alg": "HS256", "kid": key.kid}, secrets[form])

    await assert_refused(oidc_app, sign_in)


async def test_client_secret_as_key(oidc_app: FastAPI, sign_in: SignIn, provider: "LoopbackProvider") -> None:
    """Nor does the secret that we share with the provider."""
    offer(provider, "RS256", "HS256")
    forge(provider, {"alg": "HS256"}, b"a secret of the tests")

    await assert_refused(oidc_app, sign_in)


async def test_published_secret(oidc_app: FastAPI, sign_in: SignIn, provider: "LoopbackProvider") -> None:
    """A shared secret among the published keys is passed over."""
    shared = {"kty": "oct", "k": _part(b"x" * 32), "kid": "shared"}
    provider.changes["/jwks"] = lambda said: {"keys": [*said["keys"], shared]}
    offer(provider, "RS256", "HS256")
    forge(provider, {"alg": "HS256", "kid": "shared"}, b"x" * 32)

    await assert_refused(oidc_app, sign_in)


def offer(provider: "LoopbackProvider", *algorithms: str) -> None:
    """Let discovery offer other algorithms."""
    provider.changes["/.well-known/openid-configuration"] = lambda said: {
        **said,
        "id_token_signing_alg_values_supported": list(algorithms),
    }


async def test_another_key(oidc_app: FastAPI, sign_in: SignIn, provider: "LoopbackProvider") -> None:
    """A key of one's own signs nothing, under the name of the provider's or any other."""
    own = jwk.RSAKey.generate_key()
    provider.change_claims({}, key=own)

    await assert_refused(oidc_app, sign_in)


@pytest.mark.parametrize("header", ["jwk", "jku"])
async def test_key_in_the_header(oidc_app: FastAPI, sign_in: SignIn, provider: "LoopbackProvider", header: str) -> None:
    """A token cannot bring its own key, or say where one is."""
    from joserfc import jwt

    from tests.auth.oidc.provider import claims_of

    own = jwk.RSAKey.generate_key()
    brought = {"jwk": own.as_dict(private=False), "jku": "https://evil.example/jwks"}[header]
    provider.changes[TOKEN] = lambda token: {
        **token,
        "id_token": jwt.encode({"alg": "RS256", header: brought}, claims_of(token["id_token"]), own, ["RS256"]),
    }

    await assert_refused(oidc_app, sign_in)


async def test_algorithm_that_is_not_offered(oidc_app: FastAPI, sign_in: SignIn, provider: "LoopbackProvider") -> None:
    """The right key with another algorithm than discovery offers is wrong."""
    provider.change_claims({}, alg="RS512")

    await assert_refused(oidc_app, sign_in)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "a.b.c.d.e", None, 1, {}])
async def test_no_token(oidc_app: FastAPI, sign_in: SignIn, provider: "LoopbackProvider", token: object) -> None:
    """What is no token at all is refused like the rest."""
    provider.changes[TOKEN] = lambda said: {**said, "id_token": token}

    await assert_refused(oidc_app, sign_in)


async def test_rotation(sign_in: SignIn, provider: "LoopbackProvider", monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that the provider has just begun to use is fetched, at most once a minute however many tokens name one."""
    assert (await sign_in()).status_code == 303
    provider.rotate()
    provider.calls.clear()
    assert (await sign_in()).status_code == 303
    assert (await sign_in()).status_code == 303
    assert provider.calls.count("/jwks") == 1

    provider.rotate()
    assert (await sign_in()).status_code == 502
    assert provider.calls.count("/jwks") == 1
    later = cache.monotonic() + cache.REFRESH_PAUSE + 1
    monkeypatch.setattr(cache, "monotonic", lambda: later)
    assert (await sign_in()).status_code == 303
    assert provider.calls.count("/jwks") == 2


async def test_rotation_by_name(sign_in: SignIn, provider: "LoopbackProvider") -> None:
    """So it is where tokens name their key, and several are published."""
    provider.change_claims({})
    assert (await sign_in()).status_code == 303
    provider.rotate()
    provider.calls.clear()

    assert (await sign_in()).status_code == 303
    assert provider.calls.count("/jwks") == 1


@pytest.mark.parametrize(("algorithm", "bits"), [("RS256", 256), ("PS384", 384), ("ES512", 512), ("Ed25519", 512)])
def test_half_hash(algorithm: str, bits: int) -> None:
    """The hash of an access token is made with the hash function of the signature."""
    whole = hashlib.new(f"sha{bits}", b"token").digest()

    assert _half_hash("token", algorithm) == _part(whole[: bits // 16])
