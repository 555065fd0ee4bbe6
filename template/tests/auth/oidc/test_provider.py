"""The provider away, slow, or wrong: callers are told so in time, and nobody is signed in."""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from app.auth.oidc import cache
from app.auth.oidc.settings import OidcSettings
from app.auth.oidc.state import make_oidc
from tests.auth.oidc.conftest import SignIn
from tests.auth.oidc.support import CHALLENGE, OIDC, begin, me

if TYPE_CHECKING:
    from tests.auth.oidc.provider import LoopbackProvider

DISCOVERY = "/.well-known/openid-configuration"
TOKEN = "/oauth2/token"


def believe(app: FastAPI, issuer: str, **settings: Any) -> None:
    """Let an application believe a provider, on other terms."""
    made = OidcSettings(issuer=issuer, client_id="harbour", **settings)
    app.state.oidc = make_oidc(made, app.state.auth.settings)


async def log_in(browser: AsyncClient) -> Response:
    """Begin to sign in."""
    return await browser.get(f"{OIDC}/login", params={"code_challenge": CHALLENGE})


async def test_what_is_published_is_remembered(sign_in: SignIn, provider: "LoopbackProvider") -> None:
    """Discovery and keys are asked for once, not for every person."""
    for _ in range(2):
        assert (await sign_in()).status_code == 303

    assert provider.calls.count(DISCOVERY) == 1
    assert provider.calls.count("/jwks") == 1


async def test_what_is_remembered_grows_old(
    sign_in: SignIn, provider: "LoopbackProvider", monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an hour they are asked for again."""
    await sign_in()
    later = cache.monotonic() + cache.LIFETIME + 1
    monkeypatch.setattr(cache, "monotonic", lambda: later)
    await sign_in()

    assert provider.calls.count(DISCOVERY) == 2
    assert provider.calls.count("/jwks") == 2


async def test_nobody_there(oidc_app: FastAPI, browser: AsyncClient) -> None:
    """A provider that is away is a problem for the moment, not ours to hide."""
    believe(oidc_app, "http://localhost:1")

    answer = await log_in(browser)

    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:problem:provider-unavailable"
    assert "Retry-After" in answer.headers
    assert "localhost" not in answer.text


async def test_failing_provider_is_left_alone(
    oidc_app: FastAPI, browser: AsyncClient, provider: "LoopbackProvider", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many who try do not make many calls to a provider that is down; a few seconds later it gets another chance."""
    provider.changes[DISCOVERY] = lambda _: HTTPStatus.SERVICE_UNAVAILABLE
    for _ in range(3):
        assert (await log_in(browser)).status_code == 503
    assert provider.calls.count(DISCOVERY) == 1
    provider.mend()
    later = cache.monotonic() + cache.FAILURE_PAUSE + 1
    monkeypatch.setattr(cache, "monotonic", lambda: later)

    assert (await log_in(browser)).status_code == 303


async def test_slow_provider(oidc_app: FastAPI, browser: AsyncClient, provider: "LoopbackProvider") -> None:
    """Nobody waits longer than the setting says."""
    believe(oidc_app, provider.url, timeout=0.05)
    provider.delay = 0.5
    begun = time.monotonic()

    assert (await log_in(browser)).status_code == 503
    assert time.monotonic() - begun < 0.45


@pytest.mark.parametrize("path", ["/jwks", TOKEN])
async def test_away_at_the_end(browser: AsyncClient, provider: "LoopbackProvider", path: str) -> None:
    """So it is when the provider goes away while somebody signs in."""
    back = await begin(browser, provider)
    provider.changes[path] = lambda _: HTTPStatus.INTERNAL_SERVER_ERROR

    assert (await browser.get(back)).status_code == 503


@pytest.mark.parametrize("path", [DISCOVERY, "/jwks", TOKEN])
@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"<html>",
        lambda _: b"",
        lambda _: b"\xff",
        lambda _: [],
        lambda _: {},
        lambda _: None,
        lambda _: HTTPStatus.NOT_FOUND,
        lambda _: HTTPStatus.FOUND,
        lambda _: HTTPStatus.TEMPORARY_REDIRECT,
    ],
    ids=["html", "empty", "bytes", "list", "nothing", "null", "404", "302", "307"],
)
async def test_nonsense(
    browser: AsyncClient, provider: "LoopbackProvider", path: str, change: Callable[[Any], Any]
) -> None:
    """What makes no sense is said to be the provider's fault, and a redirect is not followed."""
    provider.changes[path] = change

    answer = await log_in(browser)
    if path != DISCOVERY:
        answer = await browser.get(await begin(browser, provider))

    assert answer.status_code == 502, answer.text
    assert answer.json()["type"] == "urn:problem:provider-fault"
    assert "/elsewhere" not in provider.calls


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
async def test_wrong_discovery(browser: AsyncClient, provider: "LoopbackProvider", said: dict[str, object]) -> None:
    """A document of another issuer, with odd endpoints, or without a safe algorithm is not acted on."""
    provider.changes[DISCOVERY] = lambda right: {**right, **said}

    assert (await log_in(browser)).status_code == 502


async def test_deployed_needs_https(oidc_app: FastAPI, browser: AsyncClient, provider: "LoopbackProvider") -> None:
    """Elsewhere than on a developer's machine, endpoints that can be listened to are refused."""
    settings = OidcSettings(issuer=provider.url, client_id="harbour").model_copy(update={"environment": "production"})
    oidc_app.state.oidc = make_oidc(settings, oidc_app.state.auth.settings)
    async with AsyncClient() as client:
        assert (await client.get(f"{provider.url}{DISCOVERY}")).json()["token_endpoint"].startswith("http://")

    assert (await log_in(browser)).status_code == 502


async def test_address_from_userinfo(browser: AsyncClient, sign_in: SignIn, provider: "LoopbackProvider") -> None:
    """Providers that keep addresses out of ID tokens are asked for them, with the access token."""
    provider.change_claims({"email": None, "email_verified": None})

    assert (await me(browser, await sign_in()))["email"] == "ada@example.com"
    assert "/userinfo" in provider.calls


@pytest.mark.parametrize("said", [{"sub": "another"}, {"sub": None}])
async def test_userinfo_about_somebody_else(
    sign_in: SignIn, provider: "LoopbackProvider", said: dict[str, object]
) -> None:
    """What is said about somebody else is not believed about this person (OpenID Connect Core 1.0, 5.3.2)."""
    provider.change_claims({"email": None, "email_verified": None})
    provider.changes["/userinfo"] = lambda right: {**right, **said}

    assert (await sign_in()).status_code == 502


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_client_authentication(
    oidc_app: FastAPI, browser: AsyncClient, provider: "LoopbackProvider", method: str
) -> None:
    """We prove who we are as the provider asks."""
    believe(oidc_app, provider.url, client_secret="a secret of the tests")
    provider.changes[DISCOVERY] = lambda said: {**said, "token_endpoint_auth_methods_supported": [method]}

    assert (await browser.get(await begin(browser, provider))).status_code == 303
    assert provider.authenticated == method


async def test_public_client(oidc_app: FastAPI, browser: AsyncClient, provider: "LoopbackProvider") -> None:
    """Without a secret, PKCE alone protects the code; this provider knows no such clients, and says so."""
    believe(oidc_app, provider.url)

    assert (await browser.get(await begin(browser, provider))).status_code == 502
    assert provider.authenticated == "none"


async def test_provider_does_not_know_us(browser: AsyncClient, provider: "LoopbackProvider") -> None:
    """A wrong client secret is the operator's to mend, and no fault of who signs in."""
    provider.changes[TOKEN] = lambda _: {"error": "invalid_client"}

    answer = await browser.get(await begin(browser, provider))

    assert answer.status_code == 502
    assert "invalid_client" not in answer.text
