"""Browser logins: a cookie that scripts cannot read and other sites cannot use."""

from http.cookies import SimpleCookie

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient, Response
from starlette.types import Receive, Scope, Send

from keel.about import SLUG
from keel.tests.auth.fixtures import AUTH, PASSWORD, Person
from keel.tests.widgets.api import WIDGETS

BROWSER = f"{AUTH}/browser"
COOKIE = f"__Secure-{SLUG}-refresh_token"
PAGE = {"X-Requested-With": "test", "Origin": "http://test"}


async def log_in(client: AsyncClient, person: Person, **headers: str) -> Response:
    """Log in like a page on this site, except for the given headers."""
    body = {"email": person.email, "password": PASSWORD}
    return await client.post(f"{BROWSER}/login", json=body, headers={**PAGE, **headers})


def cookie_of(answer: Response) -> dict[str, str]:
    """Return the request header that sends back a response's cookie."""
    return {"Cookie": f"{COOKIE}={SimpleCookie(answer.headers['Set-Cookie'])[COOKIE].value}"}


async def test_cookie(anonymous: AsyncClient, ada: Person) -> None:
    """The refresh token is only in the cookie, which is HttpOnly, SameSite and Secure."""
    answer = await log_in(anonymous, ada)

    attributes = {part.strip().lower() for part in answer.headers["Set-Cookie"].split(";")[1:]}
    assert attributes >= {"httponly", "secure", "samesite=strict", "path=/api/v1/auth/browser"}
    assert set(answer.json()) == {"access_token", "token_type", "expires_in", "scope"}
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert (await anonymous.get(WIDGETS, headers=headers)).status_code == 200


async def test_cookie_behind_a_path_prefix(app: FastAPI, ada: Person) -> None:
    """The cookie's path includes the proxy's prefix; logging out deletes the same cookie."""

    async def below(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "path": f"/shop{scope['path']}", "root_path": "/shop"}, receive, send)

    async with AsyncClient(transport=ASGITransport(below), base_url="http://test") as client:
        answer = await log_in(client, ada)
        out = await client.post(f"{BROWSER}/logout", headers={**PAGE, **cookie_of(answer)})

    for each in (answer, out):
        assert "path=/shop/api/v1/auth/browser;" in each.headers["Set-Cookie"].lower()


async def test_refreshing(anonymous: AsyncClient, ada: Person) -> None:
    """Each refresh replaces the cookie; reusing an old one ends the login."""
    first = cookie_of(await log_in(anonymous, ada))
    anonymous.cookies.clear()
    refreshed = await anonymous.post(f"{BROWSER}/refresh", headers={**PAGE, **first})
    second = cookie_of(refreshed)
    anonymous.cookies.clear()
    reused = await anonymous.post(f"{BROWSER}/refresh", headers={**PAGE, **first})
    after = await anonymous.post(f"{BROWSER}/refresh", headers={**PAGE, **second})

    assert refreshed.status_code == 200
    assert first != second
    assert (reused.status_code, after.status_code) == (400, 400)


async def test_logging_out(anonymous: AsyncClient, ada: Person) -> None:
    """Logging out ends the login and deletes the cookie; without a cookie it does nothing."""
    cookie = cookie_of(await log_in(anonymous, ada))
    anonymous.cookies.clear()
    out = await anonymous.post(f"{BROWSER}/logout", headers={**PAGE, **cookie})
    after = await anonymous.post(f"{BROWSER}/refresh", headers={**PAGE, **cookie})

    assert out.status_code == 204
    assert "Max-Age=0" in out.headers["Set-Cookie"]
    assert after.status_code == 400
    assert (await anonymous.post(f"{BROWSER}/logout", headers=PAGE)).status_code == 204


async def test_address_with_nul(anonymous: AsyncClient) -> None:
    """An address with NUL, which PostgreSQL rejects, is a client error, here and for other clients."""
    credentials = {"password": PASSWORD}
    browser = await anonymous.post(f"{BROWSER}/login", headers=PAGE, json={"email": "a\0@b.example", **credentials})
    client = await anonymous.post(f"{AUTH}/token", data={"username": "a\0@b.example", **credentials})

    assert (browser.status_code, client.status_code) == (422, 422)


@pytest.mark.parametrize("operation", ["refresh", "logout"])
async def test_other_sites(anonymous: AsyncClient, ada: Person, operation: str) -> None:
    """Requests from other sites are refused, and the login stays valid."""
    cookie = {"Cookie": f"{COOKIE}={ada.tokens['refresh_token']}"}
    for origin in ("https://evil.example", "http://test.evil.example", "null", "http://test:81", "http://[", "["):
        answer = await anonymous.post(f"{BROWSER}/{operation}", headers={**PAGE, **cookie, "Origin": origin})
        assert answer.status_code == 403, origin
        assert answer.json()["type"] == "urn:problem:cross-site-request"

    assert (await anonymous.post(f"{BROWSER}/refresh", headers={**PAGE, **cookie})).status_code == 200


async def test_plain_form_of_another_site(anonymous: AsyncClient, ada: Person) -> None:
    """A form post without a preflight is refused."""
    cookie = cookie_of(await log_in(anonymous, ada))
    anonymous.cookies.clear()

    assert (await anonymous.post(f"{BROWSER}/refresh", headers=cookie)).status_code == 422


async def test_cookie_is_no_access_token(anonymous: AsyncClient, ada: Person) -> None:
    """The cookie grants access to nothing else."""
    cookie = cookie_of(await log_in(anonymous, ada))
    anonymous.cookies.clear()

    assert (await anonymous.get(f"{AUTH}/me", headers=cookie)).status_code == 401
