"""Responses of the provider: accepted once, from the browser that started the sign-in."""

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import select, update

from keel import clock
from keel.about import SLUG
from keel.auth.models import SignInCode, User
from keel.auth.oidc import attempts
from keel.auth.oidc.cookies import cookie_name
from keel.services import services_of
from keel.testing.support import calling
from keel.tests.auth.oidc.conftest import SignIn
from keel.tests.auth.oidc.support import (
    CHALLENGE,
    OIDC,
    TOKEN,
    VERIFIER,
    admit,
    begin,
    code_of,
    count,
    exchange,
    log_in,
    state_of,
)

if TYPE_CHECKING:
    from keel.tests.auth.oidc.provider import LoopbackProvider


async def answer_of(browser: AsyncClient) -> str:
    """Start a sign-in; return a matching response whose code is not valid."""
    return f"{OIDC}/callback?code=made-up&state={state_of((await log_in(browser)).headers['Location'])}"


async def assert_failed(browser: AsyncClient, url: str) -> None:
    """Check that the sign-in failed, and that its cookie is deleted."""
    answer = await browser.get(url)

    assert answer.status_code == 400, answer.text
    assert answer.json()["type"] == "urn:problem:sign-in-failed"
    assert cookie_name(secure=False) not in browser.cookies


async def test_request_to_the_provider(browser: AsyncClient, provider: "LoopbackProvider") -> None:
    """The request uses the code flow with state, nonce and PKCE, and no secret in the URL."""
    begun = await log_in(browser)

    location = urlsplit(begun.headers["Location"])
    asked = {name: values[0] for name, values in parse_qs(location.query).items()}
    assert begun.headers["Location"].startswith(f"{provider.url}/oauth2/authorize?")
    assert asked["response_type"] == "code"
    assert asked["client_id"] == "harbour"
    assert asked["scope"] == "openid email"
    assert asked["code_challenge_method"] == "S256"
    assert asked["code_challenge"] != CHALLENGE
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 43
    assert begun.headers["Cache-Control"] == "no-store"
    again = await log_in(browser)
    other = parse_qs(urlsplit(again.headers["Location"]).query)
    assert all(other[name][0] != asked[name] for name in ("state", "nonce", "code_challenge"))


async def test_cookie(browser: AsyncClient) -> None:
    """The cookie is HttpOnly, SameSite and encrypted."""
    begun = await log_in(browser)

    cookie = begun.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Max-Age=600" in cookie
    state = state_of(begun.headers["Location"])
    assert state not in cookie
    assert CHALLENGE not in cookie


async def test_deployed_cookie(oidc_app: FastAPI, browser: AsyncClient, provider: "LoopbackProvider") -> None:
    """In deployments the cookie is sent over HTTPS only, and a subdomain cannot set it."""
    services_of(oidc_app).oidc = replace(services_of(oidc_app).oidc, secure=True)
    async with calling(oidc_app) as client:
        client.base_url = "https://test"
        back = await begin(client, provider)
        name = next(iter(client.cookies))
        cookie = (await log_in(client)).headers["Set-Cookie"]
        assert name == cookie_name(secure=True) == f"__Host-{SLUG}-oidc"
        assert "Secure" in cookie
        assert "Path=/;" in cookie
        assert "Domain" not in cookie
        del client.cookies[cookie_name(secure=True)]
        client.cookies.set(cookie_name(secure=False), "planted")
        await assert_failed_with(client, back)


async def assert_failed_with(client: AsyncClient, back: str) -> None:
    """Check that a response is refused."""
    assert (await client.get(back)).json()["type"] == "urn:problem:sign-in-failed"


@pytest.mark.parametrize("state", ["", "another", "x" * 43])
async def test_wrong_state(browser: AsyncClient, provider: "LoopbackProvider", state: str) -> None:
    """A response with another state is refused."""
    await log_in(browser)

    await assert_failed(browser, f"{OIDC}/callback?code=made-up&state={state}")
    assert TOKEN not in provider.calls


async def test_another_browser(
    oidc_app: FastAPI, browser: AsyncClient, provider: "LoopbackProvider", app: FastAPI
) -> None:
    """A response from an attacker's sign-in is refused in another browser (login CSRF)."""
    back = await begin(browser, provider)

    async with calling(oidc_app) as victim:
        await assert_failed(victim, back)
        await log_in(victim)
        await assert_failed(victim, back)
    assert TOKEN not in provider.calls


@pytest.mark.parametrize("cookie", ["", "x", "a.b.c.d.e", "\u00e9"])
async def test_forged_cookie(browser: AsyncClient, provider: "LoopbackProvider", cookie: str) -> None:
    """A cookie that was not encrypted by us is refused."""
    back = await answer_of(browser)
    browser.cookies.clear()

    answer = await browser.get(back, headers={b"Cookie": f"{cookie_name(secure=False)}={cookie}".encode()})

    assert answer.status_code == 400
    assert TOKEN not in provider.calls


async def test_cookie_of_another_key(oidc_app: FastAPI, browser: AsyncClient, provider: "LoopbackProvider") -> None:
    """A sign-in survives a key rotation, but not the removal of its key."""
    back = await answer_of(browser)
    old = services_of(oidc_app).auth.settings.signing_keys[0].get_secret_value()
    new = "YW5vdGhlciBrZXkgb2YgdGhlIHRlc3RzLCBubyBzZWNyZXQgZWl0aGVy"
    sealed = browser.cookies[cookie_name(secure=False)]
    state = state_of(back)

    assert attempts.Attempts([new, old]).open(sealed, state).state == state
    services_of(oidc_app).oidc = replace(services_of(oidc_app).oidc, attempts=attempts.Attempts([new]))
    await assert_failed(browser, back)
    assert TOKEN not in provider.calls


async def test_expired_attempt(
    browser: AsyncClient, provider: "LoopbackProvider", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sign-in expires after ten minutes, even if the browser keeps its cookie."""
    monkeypatch.setattr(attempts, "LIFETIME", -1)

    await assert_failed(browser, await answer_of(browser))
    assert TOKEN not in provider.calls


async def test_replayed_response(browser: AsyncClient, provider: "LoopbackProvider") -> None:
    """The provider accepts a code once; even a browser that kept its cookie signs in once."""
    back = await begin(browser, provider)
    cookie = browser.cookies[cookie_name(secure=False)]
    assert (await browser.get(back)).status_code == 303
    await assert_failed(browser, back)

    again = await browser.get(back, headers={"Cookie": f"{cookie_name(secure=False)}={cookie}"})

    assert again.status_code == 400
    assert "The provider does not accept this code" in again.json()["detail"]


async def test_forged_code(browser: AsyncClient, provider: "LoopbackProvider") -> None:
    """A code that the provider did not issue is refused."""
    await assert_failed(browser, await answer_of(browser))

    assert TOKEN in provider.calls


async def test_injected_code(oidc_app: FastAPI, browser: AsyncClient, provider: "LoopbackProvider") -> None:
    """A code stolen from another browser is refused: the verifier does not match (PKCE)."""
    stolen = parse_qs(urlsplit(await begin(browser, provider)).query)["code"][0]
    async with calling(oidc_app) as thief:
        state = state_of((await log_in(thief)).headers["Location"])

        await assert_failed(thief, f"{OIDC}/callback?code={stolen}&state={state}")


@pytest.mark.parametrize("query", ["error=access_denied", "error=x&code=y", "", "code="])
async def test_refusal(browser: AsyncClient, provider: "LoopbackProvider", query: str) -> None:
    """An error from the provider fails the sign-in."""
    state = state_of((await log_in(browser)).headers["Location"])

    await assert_failed(browser, f"{OIDC}/callback?state={state}&{query}")
    assert TOKEN not in provider.calls


async def test_response_of_another_issuer(browser: AsyncClient, provider: "LoopbackProvider") -> None:
    """A response with another issuer is refused (RFC 9207); the right issuer is accepted."""
    answer = await browser.get(f"{await answer_of(browser)}&iss=https://evil.example")
    assert answer.status_code == 502
    assert TOKEN not in provider.calls

    assert (await browser.get(f"{await begin(browser, provider)}&iss={provider.url}")).status_code == 303


@pytest.mark.usefixtures("nothing_known")
async def test_missing_issuer(browser: AsyncClient, provider: "LoopbackProvider") -> None:
    """If the provider announces the `iss` parameter, a response without it is refused."""
    provider.changes["/.well-known/openid-configuration"] = lambda said: {
        **said,
        "authorization_response_iss_parameter_supported": True,
    }

    assert (await browser.get(await answer_of(browser))).status_code == 502
    assert TOKEN not in provider.calls
    assert (await browser.get(f"{await begin(browser, provider)}&iss={provider.url}")).status_code == 303


async def test_no_open_redirect(browser: AsyncClient, provider: "LoopbackProvider") -> None:
    """Nothing that a caller sends determines a redirect target."""
    evil = "https://evil.example"
    query = "&".join(f"{name}={evil}" for name in ("next", "redirect_uri", "redirect", "return_to", "url"))
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Referer": evil, "Origin": evil}

    begun = await browser.get(f"{OIDC}/login?code_challenge={CHALLENGE}&{query}", headers=headers)
    assert begun.headers["Location"].startswith(f"{provider.url}/")
    assert "evil" not in begun.headers["Location"]
    back = urlsplit(await provider.authorize(begun.headers["Location"], "ada-there"))
    browser.cookies.set(cookie_name(secure=False), begun.headers["Set-Cookie"].partition("=")[2].partition(";")[0])
    answer = await browser.get(f"{back.path}?{back.query}&{query}", headers=headers)

    assert answer.headers["Location"].startswith("https://front.example.com/signed-in#code=")
    assert "evil" not in answer.headers["Location"]


async def test_no_token_in_a_url(sign_in: SignIn) -> None:
    """The code is in the fragment, and useless without the verifier."""
    location = urlsplit((await sign_in()).headers["Location"])

    assert location.query == ""
    assert "." not in location.fragment
    assert location.fragment.startswith("code=")


@pytest.mark.parametrize("challenge", [None, "", "short", "x" * 44, "=" * 43])
async def test_challenge_is_required(browser: AsyncClient, challenge: str | None) -> None:
    """A sign-in cannot start without a challenge."""
    params = {} if challenge is None else {"code_challenge": challenge}

    assert (await browser.get(f"{OIDC}/login", params=params)).status_code == 422


async def test_code_can_be_used_once(oidc_app: FastAPI, browser: AsyncClient) -> None:
    """A code can be exchanged once."""
    code = await admit(oidc_app)

    assert (await exchange(browser, code)).headers["Cache-Control"] == "no-store"
    again = await exchange(browser, code)
    assert again.status_code == 400
    assert again.json()["error"] == "invalid_grant"


async def test_stolen_code(oidc_app: FastAPI, browser: AsyncClient) -> None:
    """A code is refused without its verifier, and consumed by a wrong one."""
    code = await admit(oidc_app)

    stolen = await exchange(browser, code, code_verifier="x" * 43)
    assert stolen.json()["type"] == "urn:problem:invalid-sign-in-code"
    assert (await exchange(browser, code, code_verifier=VERIFIER)).status_code == 400


async def test_expired_code(oidc_app: FastAPI, browser: AsyncClient) -> None:
    """A code expires after a minute, and is purged."""
    code = await admit(oidc_app)
    async with services_of(oidc_app).database.transaction() as session:
        await session.execute(update(SignInCode).values(expires_at=clock.now() - timedelta(seconds=1)))

    assert (await exchange(browser, code)).status_code == 400
    assert (await services_of(oidc_app).retention.run(services_of(oidc_app).database))["auth sign-in codes"] == 1


async def test_code_is_stored_hashed(oidc_app: FastAPI, sign_in: SignIn) -> None:
    """Only a digest of the code is stored."""
    code = code_of(await sign_in())

    async with services_of(oidc_app).database.transaction() as session:
        stored = (await session.scalars(select(SignInCode))).one()
    assert await count(oidc_app, User) == 1
    assert code.encode() not in stored.digest
    assert stored.challenge == CHALLENGE


async def test_refresh_token_in_a_cookie(oidc_app: FastAPI, browser: AsyncClient) -> None:
    """A page can get the refresh token in an HttpOnly cookie; pages on other sites cannot."""
    body = {"code": await admit(oidc_app), "code_verifier": VERIFIER}
    headers = {"X-Requested-With": "test", "Origin": "https://evil.example"}
    refused = await browser.post("/api/v1/auth/browser/oidc", json=body, headers=headers)
    answer = await browser.post("/api/v1/auth/browser/oidc", json=body, headers={"X-Requested-With": "test"})

    assert refused.status_code == 403
    assert set(answer.json()) == {"access_token", "token_type", "expires_in", "scope"}
    assert answer.headers["Set-Cookie"].startswith(f"__Secure-{SLUG}-refresh_token=")
