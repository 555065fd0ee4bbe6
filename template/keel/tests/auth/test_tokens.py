"""Access tokens: valid ones are accepted, all others refused."""

import hmac
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, OKPKey

from keel.about import SLUG
from keel.auth.sessions.access_tokens import InvalidToken
from keel.auth.sessions.keys import make_ring
from keel.auth.settings import AuthSettings
from keel.auth.state import Auth, make_auth
from keel.testing.support import running
from keel.tests.application import create_app
from keel.tests.auth.fixtures import AUTH, Configure, Person
from keel.tests.widgets.api import WIDGETS

OLD, NEW = (
    "b2xkIGtleSBvZiBtb3JlIHRoYW4gMzIgYnl0ZXMgZm9yIGEgdGVzdA",
    "bmV3IGtleSBvZiBtb3JlIHRoYW4gMzIgYnl0ZXMgZm9yIGEgdGVzdA",
)


async def status(client: AsyncClient, token: str) -> int:
    """Return the status of a request with the token."""
    answer = await client.get(WIDGETS, headers={"Authorization": f"Bearer {token}"})
    if answer.status_code == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    return answer.status_code


def claims(**changes: Any) -> dict[str, Any]:
    """Return valid claims with the given changes; None leaves a claim out."""
    now = int(time.time())
    good = {
        "iss": SLUG,
        "aud": "api",
        "sub": "ada",
        "iat": now,
        "exp": now + 60,
        "jti": "1",
        "sid": str(uuid4()),
        "scope": "widgets:read",
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def forged(auth: Auth, header: dict[str, Any] | None = None, **changes: Any) -> str:
    """Return a token signed with our own key."""
    key = auth.ring.keys[0]
    head = {"alg": "HS256", "kid": key.kid, "typ": "at+jwt", **(header or {})}
    return jwt.encode(head, claims(**changes), key, ["HS256"])


async def test_good_token(app: FastAPI, anonymous: AsyncClient) -> None:
    """The tests' forger can create valid tokens, so invalid ones fail for a single reason."""
    assert await status(anonymous, forged(Auth.of(app))) == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "another issuer"},
        {"iss": None},
        {"aud": "another api"},
        {"aud": None},
        {"exp": 1},
        {"exp": None},
        {"exp": "soon"},
        {"iat": None},
        {"iat": 99999999999},
        {"nbf": 99999999999},
        {"sub": None},
        {"sub": 7},
        {"exp": 10**400},
        {"scope": None},
        {"scope": ["widgets:read"]},
        {"sid": None},
        {"sid": "x"},
    ],
    ids=str,
)
async def test_bad_claims(app: FastAPI, anonymous: AsyncClient, changes: dict[str, Any]) -> None:
    """A token with a wrong or missing claim is refused."""
    assert await status(anonymous, forged(Auth.of(app), **changes)) == 401


@pytest.mark.parametrize("header", [{"typ": "JWT"}, {"kid": "unknown"}], ids=str)
async def test_bad_headers(app: FastAPI, anonymous: AsyncClient, header: dict[str, Any]) -> None:
    """A token of another type, or with another key, is refused."""
    assert await status(anonymous, forged(Auth.of(app), header)) == 401


def signed(auth: Auth, payload: bytes) -> str:
    """Return a token with any claims, signed with our own key."""
    key = auth.ring.keys[0]
    assert isinstance(key, OctKey)
    header = encoded({"alg": "HS256", "kid": key.kid, "typ": "at+jwt"})
    content = f"{header}.{urlsafe_b64encode(payload).decode().rstrip('=')}"
    signature = hmac.digest(key.get_op_key("sign"), content.encode(), "sha256")
    return f"{content}.{urlsafe_b64encode(signature).decode().rstrip('=')}"


async def test_malformed_claims(app: FastAPI, anonymous: AsyncClient) -> None:
    """A signed token is refused if its claims cannot be parsed, or its subject cannot be stored."""
    auth = Auth.of(app)
    assert await status(anonymous, signed(auth, json.dumps(claims()).encode())) == 200
    assert await status(anonymous, signed(auth, b"[" * 20_000)) == 401
    assert await status(anonymous, signed(auth, json.dumps(claims(sub="\ud800")).encode())) == 401


def encoded(part: dict[str, Any]) -> str:
    """Return a part of a token."""
    return urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


async def test_no_signature(app: FastAPI, anonymous: AsyncClient) -> None:
    """`alg: none` is refused in every spelling."""
    kid = Auth.of(app).ring.keys[0].kid
    for algorithm in ("none", "None", "NONE", ""):
        header = encoded({"alg": algorithm, "kid": kid, "typ": "at+jwt"})
        for signature in ("", "x"):
            assert await status(anonymous, f"{header}.{encoded(claims())}.{signature}") == 401


async def test_wrong_key(app: FastAPI, anonymous: AsyncClient) -> None:
    """A signature by another key is refused, even if it names ours."""
    header = {"alg": "HS256", "kid": Auth.of(app).ring.keys[0].kid, "typ": "at+jwt"}
    token = jwt.encode(header, claims(), OctKey.generate_key(256), ["HS256"])

    assert await status(anonymous, token) == 401


async def test_other_algorithm_with_our_key(app: FastAPI, anonymous: AsyncClient) -> None:
    """A token cannot choose its algorithm."""
    key = Auth.of(app).ring.keys[0]
    token = jwt.encode({"alg": "HS512", "kid": key.kid, "typ": "at+jwt"}, claims(), key, ["HS512"])

    assert await status(anonymous, token) == 401


@pytest.mark.parametrize("position", [0, 1, 2])
async def test_tampering(app: FastAPI, anonymous: AsyncClient, position: int) -> None:
    """A token with one changed bit is refused."""
    parts = forged(Auth.of(app)).split(".")
    raw = bytearray(urlsafe_b64decode(parts[position] + "=="))
    raw[5] ^= 1
    parts[position] = urlsafe_b64encode(bytes(raw)).decode().rstrip("=")

    assert await status(anonymous, ".".join(parts)) == 401


@pytest.mark.parametrize("token", ["", "x", "a.b", "a.b.c", "..", "é.é.é", "x" * 5000, "a.b.c.d.e"])
async def test_malformed_token(anonymous: AsyncClient, token: str) -> None:
    """Malformed tokens get 401, never 500."""
    headers = {b"authorization": b"Bearer " + token.encode("latin-1", errors="replace")}
    assert (await anonymous.get(WIDGETS, headers=headers)).status_code == 401


@pytest.mark.parametrize("header", [None, "Basic YTpi", "Bearer", "bearer  "])
async def test_no_token(anonymous: AsyncClient, header: str | None) -> None:
    """A request without a token gets a `WWW-Authenticate` challenge."""
    answer = await anonymous.get(WIDGETS, headers={"Authorization": header} if header else {})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["type"] == "urn:problem:not-signed-in"


async def test_cached_token_expires(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signature is checked once, the expiry every time."""
    auth = make_auth(AuthSettings.load())
    token = auth.tokens.make("ada", "widgets:read", uuid4())
    auth.tokens.verify(token)
    later = time.time() + 901
    monkeypatch.setattr(time, "time", lambda: later)

    for _ in range(2):
        with pytest.raises(InvalidToken):
            auth.tokens.verify(token)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, environment: None) -> None:
    """The cache of verified tokens is limited."""
    monkeypatch.setattr("keel.auth.sessions.access_tokens._REMEMBERED", 2)
    tokens = make_auth(AuthSettings.load()).tokens
    made = [tokens.make(str(i), "", uuid4()) for i in range(4)]
    for token in made:
        tokens.verify(token)

    assert len(tokens._known) == 2
    assert tokens.verify(made[0]).caller.subject == "0"


@pytest.fixture(params=["HS256", "Ed25519"])
def algorithm(request: pytest.FixtureRequest, environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Choose an algorithm."""
    monkeypatch.setenv("AUTH_ALGORITHM", request.param)
    return request.param


def test_rotation_ends_no_login(algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new first key signs; tokens signed with the old one are valid until it is removed."""
    monkeypatch.setenv("AUTH_SIGNING_KEYS", OLD)
    old = make_auth(AuthSettings.load())
    token = old.tokens.make("ada", "", uuid4())
    monkeypatch.setenv("AUTH_SIGNING_KEYS", f"{NEW},{OLD}")
    both = make_auth(AuthSettings.load())
    monkeypatch.setenv("AUTH_SIGNING_KEYS", NEW)
    new = make_auth(AuthSettings.load())

    assert both.tokens.verify(token).caller.subject == "ada"
    assert new.tokens.verify(both.tokens.make("ada", "", uuid4())).caller.subject == "ada"
    with pytest.raises(InvalidToken):
        new.tokens.verify(token)


async def test_key_set(algorithm: str, anonymous: AsyncClient, configure: Configure) -> None:
    """The key set has the public keys; a shared secret is never published."""
    app = configure()
    published = (await anonymous.get("/.well-known/jwks.json")).json()
    token = Auth.of(app).tokens.make("ada", "widgets:read", uuid4())

    assert '"d"' not in json.dumps(published)
    assert '"k"' not in json.dumps(published)
    if algorithm == "HS256":
        assert published == {"keys": []}
    else:
        assert jwt.decode(token, KeySet.import_key_set(published), ["Ed25519"]).claims["sub"] == "ada"


async def test_public_key_is_no_shared_secret(anonymous: AsyncClient, configure: Configure) -> None:
    """With Ed25519, a token signed by HMAC with the public key is refused (algorithm confusion)."""
    (key,) = Auth.of(configure(ALGORITHM="Ed25519")).ring.keys
    assert isinstance(key, OKPKey)
    raw = urlsafe_b64decode(str(key.as_dict(private=False)["x"]) + "==")
    content = f"{encoded({'alg': 'HS256', 'kid': key.kid, 'typ': 'at+jwt'})}.{encoded(claims())}"
    for secret in (raw, key.as_pem(private=False), json.dumps(key.as_dict(private=False)).encode()):
        signature = urlsafe_b64encode(hmac.digest(secret, content.encode(), "sha256")).decode().rstrip("=")
        assert await status(anonymous, f"{content}.{signature}") == 401


def test_ring_names_keys_by_thumbprint() -> None:
    """The same key has the same name in every process."""
    assert [key.kid for key in make_ring("HS256", [NEW, OLD]).keys] == [
        key.kid for key in make_ring("HS256", [NEW, OLD]).keys
    ]


async def test_callers_are_limited_as_one_from_every_address(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Authenticated callers are counted by subject; others, including invalid tokens, by address."""
    monkeypatch.setenv("RATE_LIMIT", "2/minute")
    app = create_app()
    async with running(app, signed_in=False) as client:
        mine = [(await client.get(f"{AUTH}/me", headers=ada.headers)).status_code for _ in range(3)]
        pretending = {"Authorization": "Bearer nonsense"}
        others = [(await client.get("/nowhere", headers=pretending)).status_code for _ in range(3)]

    assert mine == [200, 200, 429]
    assert others == [404, 404, 429]
