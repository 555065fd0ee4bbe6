"""A provider that is down, slow or wrong: the caller gets an error in time."""

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest
import structlog
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.auth.oidc.problems import ProviderFault
from keel.auth.oidc.provider import cache
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
async def test_metadata_and_keys_are_cached(
    sign_in: SignIn, provider: "LoopbackProvider", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discovery and keys are fetched once for all users, and again after an hour."""
    for _ in range(2):
        assert (await sign_in()).status_code == 303
    assert provider.calls.count(DISCOVERY) == 1
    assert provider.calls.count(KEYS) == 1
    later = cache.monotonic() + cache.LIFETIME + 1
    monkeypatch.setattr(cache, "monotonic", lambda: later)

    assert (await sign_in()).status_code == 303
    assert provider.calls.count(DISCOVERY) == 2
    assert provider.calls.count(KEYS) == 2


async def test_unreachable_provider(oidc_app: FastAPI, browser: AsyncClient) -> None:
    """A provider that is down is reported as 503."""
    believe(oidc_app, "http://localhost:1")

    answer = await log_in(browser)

    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:problem:provider-unavailable"
    assert "Retry-After" in answer.headers
    assert "localhost" not in answer.text


@pytest.mark.usefixtures("nothing_known")
async def test_pause_after_a_failure(
    oidc_app: FastAPI, browser: AsyncClient, provider: "LoopbackProvider", monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failure no request is made for a few seconds."""
    provider.answers[DISCOVERY] = HTTPStatus.SERVICE_UNAVAILABLE
    clock = [cache.monotonic()]
    monkeypatch.setattr(cache, "monotonic", lambda: clock[0])
    for _ in range(3):
        assert (await log_in(browser)).status_code == 503
    assert provider.calls.count(DISCOVERY) == 1
    provider.clear_faults()
    clock[0] += cache.FAILURE_PAUSE + 1

    assert (await log_in(browser)).status_code == 303


@pytest.mark.parametrize("kind", ["silent", "dripping"])
async def test_slow_provider(oidc_app: FastAPI, browser: AsyncClient, provider: "LoopbackProvider", kind: str) -> None:
    """A call is cancelled after the timeout, even if the provider sends slowly."""
    believe(oidc_app, provider.url, timeout=0.05)
    # Either would take ten minutes.
    provider.answers[DISCOVERY] = b" " * 30_000
    provider.delay, provider.pause = (600, 0) if kind == "silent" else (0, 0.02)

    async with asyncio.timeout(PATIENCE):
        assert (await log_in(browser)).status_code == 503


@pytest.mark.usefixtures("nothing_known")
@pytest.mark.parametrize("path", [KEYS, TOKEN])
async def test_provider_down_during_sign_in(browser: AsyncClient, provider: "LoopbackProvider", path: str) -> None:
    """A provider that goes down during a sign-in is reported as 503."""
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
    """Check that an invalid response is reported as the provider's fault."""
    with structlog.testing.capture_logs() as logged, pytest.raises(ProviderFault):
        await authenticate(app)

    assert logged[-1]["what"] == what


@pytest.mark.usefixtures("nothing_known")
@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
async def test_invalid_discovery_document(oidc_app: FastAPI, provider: "LoopbackProvider", answer: object) -> None:
    """An invalid discovery document is the provider's fault; redirects are not followed."""
    provider.answers[DISCOVERY] = answer

    await assert_fault(oidc_app, "discovery")
    assert provider.calls == [DISCOVERY]


@pytest.mark.usefixtures("nothing_known")
@pytest.mark.parametrize(
    "answer",
    [b"<html>", HTTPStatus.FOUND, {}, {"keys": None}, {"keys": ["key"]}, {"keys": [{}]}, {"keys": [{"kty": "new"}]}],
    ids=str,
)
async def test_invalid_keys(oidc_app: FastAPI, provider: "LoopbackProvider", answer: object) -> None:
    """Invalid published keys are the provider's fault."""
    provider.answers[TOKEN] = {"access_token": "access", "token_type": "Bearer", "id_token": "a.b.c"}
    provider.answers[KEYS] = answer

    await assert_fault(oidc_app, "keys")
    assert provider.calls == [DISCOVERY, TOKEN, KEYS]


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
async def test_invalid_token_response(oidc_app: FastAPI, provider: "LoopbackProvider", answer: object) -> None:
    """An invalid token response is the provider's fault."""
    provider.answers[TOKEN] = answer

    await assert_fault(oidc_app, "token")
    assert provider.calls == [TOKEN]


async def test_invalid_response_is_reported(browser: AsyncClient, provider: "LoopbackProvider") -> None:
    """The caller learns that the provider is at fault, but nothing of its response."""
    back = await begin(browser, provider)
    provider.answers[TOKEN] = b"<html>"

    answer = await browser.get(back)

    assert answer.status_code == 502
    assert answer.json()["type"] == "urn:problem:provider-fault"
    assert "html" not in answer.text


@pytest.mark.usefixtures("nothing_known")
async def test_wrong_discovery_is_reported(browser: AsyncClient, provider: "LoopbackProvider") -> None:
    """An invalid discovery document causes no redirect; see `test_discovery`."""
    provider.changes[DISCOVERY] = lambda right: {**right, "issuer": "https://evil.example"}

    assert (await log_in(browser)).status_code == 502


async def test_address_from_userinfo(browser: AsyncClient, sign_in: SignIn, provider: "LoopbackProvider") -> None:
    """If the ID token has no address, userinfo is requested with the access token."""
    provider.change_claims({"email": None, "email_verified": None})

    assert (await me(browser, code_of(await sign_in())))["email"] == "ada@example.com"
    assert "/userinfo" in provider.calls


@pytest.mark.parametrize("sub", ["another", None])
async def test_userinfo_of_another_subject(sign_in: SignIn, provider: "LoopbackProvider", sub: object) -> None:
    """Claims of another subject are refused (OpenID Connect Core 1.0, 5.3.2)."""
    provider.change_claims({"email": None, "email_verified": None})
    provider.changes["/userinfo"] = lambda right: {**right, "sub": sub}

    assert (await sign_in()).status_code == 502


async def test_invalid_userinfo(sign_in: SignIn, provider: "LoopbackProvider") -> None:
    """An invalid userinfo response is the provider's fault."""
    provider.change_claims({"email": None, "email_verified": None})
    provider.answers["/userinfo"] = []

    assert (await sign_in()).status_code == 502


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_client_authentication(
    oidc_app: FastAPI, browser: AsyncClient, provider: "LoopbackProvider", method: str
) -> None:
    """The client authenticates with a method that the provider supports."""
    believe(oidc_app, provider.url, client_secret=CLIENT_SECRET)
    provider.changes[DISCOVERY] = lambda said: {**said, "token_endpoint_auth_methods_supported": [method]}

    assert (await browser.get(await begin(browser, provider))).status_code == 303
    assert provider.authenticated == method


async def test_public_client(oidc_app: FastAPI, browser: AsyncClient, provider: "LoopbackProvider") -> None:
    """Without a secret, PKCE alone protects the code; this provider has no public clients, and says so."""
    believe(oidc_app, provider.url)

    assert (await browser.get(await begin(browser, provider))).status_code == 502
    assert provider.authenticated == "none"


async def test_wrong_client_secret(browser: AsyncClient, provider: "LoopbackProvider") -> None:
    """A wrong client secret is reported as a configuration error, not the caller's fault."""
    provider.answers[TOKEN] = {"error": "invalid_client"}

    answer = await browser.get(await begin(browser, provider))

    assert answer.status_code == 502
    assert provider.calls[-1] == TOKEN
    assert "invalid_client" not in answer.text
