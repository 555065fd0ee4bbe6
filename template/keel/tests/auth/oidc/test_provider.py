"""The provider away, slow, or wrong: callers are told so in time, and nobody is signed in."""

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest
import structlog
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.auth.oidc import cache
from keel.auth.oidc.problems import ProviderFault
from keel.testing.support import PATIENCE
from keel.tests.auth.oidc.conftest import SignIn
from keel.tests.auth.oidc.support import (
    CLIENT_SECRET,
    DISCOVERY,
    KEYS,
    TOKEN,
    authenticate,
    begin,
    believe,
    code_of,
    log_in,
    me,
)

if TYPE_CHECKING:
    from keel.tests.auth.oidc.provider import LoopbackProvider


@pytest.mark.usefixtures("nothing_known")
async def test_what_is_published_is_remembered(
    sign_in: SignIn, provider: "LoopbackProvider", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discovery and keys are asked for once, not for every person; after an hour, once more."""
    for _ in range(2):
        assert (await sign_in()).status_code == 303
    assert provider.calls.count(DISCOVERY) == 1
    assert provider.calls.count(KEYS) == 1
    later = cache.monotonic() + cache.LIFETIME + 1
    monkeypatch.setattr(cache, "monotonic", lambda: later)

    assert (await sign_in()).status_code == 303
    assert provider.calls.count(DISCOVERY) == 2
    assert provider.calls.count(KEYS) == 2


async def test_nobody_there(oidc_app: FastAPI, browser: AsyncClient) -> None:
    """A provider that is away is a problem for the moment, not ours to hide."""
    believe(oidc_app, "http://localhost:1")

    answer = await log_in(browser)

    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:problem:provider-unavailable"
    assert "Retry-After" in answer.headers
    assert "localhost" not in answer.text


@pytest.mark.usefixtures("nothing_known")
async def test_failing_provider_is_left_alone(
    oidc_app: FastAPI, browser: AsyncClient, provider: "LoopbackProvider", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many who try do not make many calls to a provider that is down; a few seconds later it gets another chance."""
    provider.answers[DISCOVERY] = HTTPStatus.SERVICE_UNAVAILABLE
    clock = [cache.monotonic()]
    monkeypatch.setattr(cache, "monotonic", lambda: clock[0])
    for _ in range(3):
        assert (await log_in(browser)).status_code == 503
    assert provider.calls.count(DISCOVERY) == 1
    provider.mend()
    clock[0] += cache.FAILURE_PAUSE + 1

    assert (await log_in(browser)).status_code == 303


@pytest.mark.parametrize("kind", ["silent", "dripping"])
async def test_slow_provider(oidc_app: FastAPI, browser: AsyncClient, provider: "LoopbackProvider", kind: str) -> None:
    """Nobody waits longer than the setting says, also where there is always a little to read."""
    believe(oidc_app, provider.url, timeout=0.05)
    # Either would take ten minutes.
    provider.answers[DISCOVERY] = b" " * 30_000
    provider.delay, provider.pause = (600, 0) if kind == "silent" else (0, 0.02)

    async with asyncio.timeout(PATIENCE):
        assert (await log_in(browser)).status_code == 503


@pytest.mark.usefixtures("nothing_known")
@pytest.mark.parametrize("path", [KEYS, TOKEN])
async def test_away_at_the_end(browser: AsyncClient, provider: "LoopbackProvider", path: str) -> None:
    """So it is when the provider goes away while somebody signs in."""
    back = await begin(browser, provider)
    provider.answers[path] = HTTPStatus.INTERNAL_SERVER_ERROR

    assert (await browser.get(back)).status_code == 503


NONSENSE = {
    "html": b"<html>",
    "empty": b"",
    "bytes": b"\xff",
    "list": [],
    "nothing": {},
    "null": None,
    "404": HTTPStatus.NOT_FOUND,
    "302": HTTPStatus.FOUND,
    "307": HTTPStatus.TEMPORARY_REDIRECT,
}


async def assert_fault(app: FastAPI, what: str) -> None:
    """Make sure that something which the provider says is said to be its fault."""
    with structlog.testing.capture_logs() as logged, pytest.raises(ProviderFault):
        await authenticate(app)

    assert logged[-1]["what"] == what


@pytest.mark.usefixtures("nothing_known")
@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_in_a_document(oidc_app: FastAPI, provider: "LoopbackProvider", answer: object) -> None:
    """What makes no sense is said to be the provider's fault, and a redirect is not followed."""
    provider.answers[DISCOVERY] = answer

    await assert_fault(oidc_app, "discovery")
    assert provider.calls == [DISCOVERY]


@pytest.mark.usefixtures("nothing_known")
@pytest.mark.parametrize(
    "answer",
    [b"<html>", HTTPStatus.FOUND, {}, {"keys": None}, {"keys": ["key"]}, {"keys": [{}]}, {"keys": [{"kty": "new"}]}],
    ids=str,
)
async def test_nonsense_among_keys(oidc_app: FastAPI, provider: "LoopbackProvider", answer: object) -> None:
    """So it is with published keys, which are a document too."""
    provider.answers[TOKEN] = {"access_token": "access", "token_type": "Bearer", "id_token": "a.b.c"}
    provider.answers[KEYS] = answer

    await assert_fault(oidc_app, "keys")
    assert provider.calls == [DISCOVERY, TOKEN, KEYS]


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_instead_of_tokens(oidc_app: FastAPI, provider: "LoopbackProvider", answer: object) -> None:
    """So it is with what a code is exchanged for."""
    provider.answers[TOKEN] = answer

    await assert_fault(oidc_app, "token")
    assert provider.calls == [TOKEN]


async def test_nonsense_is_told(browser: AsyncClient, provider: "LoopbackProvider") -> None:
    """Whoever signs in is told whose fault it is, and nothing of what was said."""
    back = await begin(browser, provider)
    provider.answers[TOKEN] = b"<html>"

    answer = await browser.get(back)

    assert answer.status_code == 502
    assert answer.json()["type"] == "urn:problem:provider-fault"
    assert "html" not in answer.text


@pytest.mark.usefixtures("nothing_known")
async def test_wrong_discovery_is_told(browser: AsyncClient, provider: "LoopbackProvider") -> None:
    """Where the document cannot be acted on, nobody is sent anywhere; see `test_discovery`."""
    provider.changes[DISCOVERY] = lambda right: {**right, "issuer": "https://evil.example"}

    assert (await log_in(browser)).status_code == 502


async def test_address_from_userinfo(browser: AsyncClient, sign_in: SignIn, provider: "LoopbackProvider") -> None:
    """Providers that keep addresses out of ID tokens are asked for them, with the access token."""
    provider.change_claims({"email": None, "email_verified": None})

    assert (await me(browser, code_of(await sign_in())))["email"] == "ada@example.com"
    assert "/userinfo" in provider.calls


@pytest.mark.parametrize("sub", ["another", None])
async def test_userinfo_about_somebody_else(sign_in: SignIn, provider: "LoopbackProvider", sub: object) -> None:
    """What is said about somebody else is not believed about this person (OpenID Connect Core 1.0, 5.3.2)."""
    provider.change_claims({"email": None, "email_verified": None})
    provider.changes["/userinfo"] = lambda right: {**right, "sub": sub}

    assert (await sign_in()).status_code == 502


async def test_nonsense_about_somebody(sign_in: SignIn, provider: "LoopbackProvider") -> None:
    """What makes no sense is the provider's fault here too."""
    provider.change_claims({"email": None, "email_verified": None})
    provider.answers["/userinfo"] = []

    assert (await sign_in()).status_code == 502


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_client_authentication(
    oidc_app: FastAPI, browser: AsyncClient, provider: "LoopbackProvider", method: str
) -> None:
    """We prove who we are as the provider asks."""
    believe(oidc_app, provider.url, client_secret=CLIENT_SECRET)
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
    provider.answers[TOKEN] = {"error": "invalid_client"}

    answer = await browser.get(await begin(browser, provider))

    assert answer.status_code == 502
    assert provider.calls[-1] == TOKEN
    assert "invalid_client" not in answer.text
