"""Helpers for tests of OpenID Connect."""

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import func, select

from keel.auth.oidc.dependencies import make_sign_ins
from keel.auth.oidc.provider.client import Person
from keel.auth.oidc.settings import OidcSettings
from keel.auth.oidc.state import make_oidc
from keel.services import services_of

if TYPE_CHECKING:
    from keel.tests.auth.oidc.provider import LoopbackProvider

OIDC = "/api/v1/auth/oidc"

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/jwks"
TOKEN = "/oauth2/token"
"""Paths of the provider."""

CLIENT_SECRET = "a secret of the tests"

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
"""The pair of RFC 7636, appendix B."""


def believe(app: FastAPI, issuer: str, **settings: Any) -> None:
    """Let an application trust a provider of which it has cached nothing yet."""
    made = OidcSettings(issuer=issuer, client_id="harbour", **settings)
    services_of(app).oidc = make_oidc(made, services_of(app).auth.settings)


async def log_in(browser: AsyncClient) -> Response:
    """Start a sign-in; the response redirects to the provider."""
    return await browser.get(f"{OIDC}/login", params={"code_challenge": CHALLENGE})


def state_of(url: str) -> str:
    """Return the state in a URL, to the provider or back."""
    return parse_qs(urlsplit(url).query)["state"][0]


async def begin(browser: AsyncClient, provider: "LoopbackProvider", sub: str = "ada-there") -> str:
    """Take a browser to the provider, and sign in there; return the redirect URL."""
    begun = await log_in(browser)
    assert begun.status_code == 303, begun.text
    back = urlsplit(await provider.authorize(begun.headers["Location"], sub))
    assert f"{back.scheme}://{back.netloc}{back.path}" == f"https://front.example.com{OIDC}/callback"
    return f"{back.path}?{back.query}"


async def go_through(browser: AsyncClient, provider: "LoopbackProvider", sub: str = "ada-there") -> Response:
    """Take a browser to the provider and back; return the final response."""
    return await browser.get(await begin(browser, provider, sub))


async def authenticate(app: FastAPI) -> Person:
    """Exchange an invalid code at the provider."""
    oidc = services_of(app).oidc
    return await oidc.provider.authenticate("code", oidc.attempts.begin(CHALLENGE), None)


async def admit(app: FastAPI, email: str | None = "ada@example.com", sub: str = "ada-there") -> str:
    """Sign in a person that the provider has authenticated; return the code for the browser."""
    async with services_of(app).database.transaction() as session:
        return await make_sign_ins(app, session).admit(Person("https://id.example", sub, email), CHALLENGE)


def code_of(response: Response) -> str:
    """Return the code in the browser's redirect."""
    assert response.status_code == 303, response.text
    return response.headers["Location"].partition("#code=")[2]


async def exchange(client: AsyncClient, code: str, **fields: str) -> Response:
    """Exchange the code in the browser's redirect."""
    return await client.post(f"{OIDC}/token", json={"code": code, "code_verifier": VERIFIER, **fields})


async def me(client: AsyncClient, code: str) -> dict[str, object]:
    """Return the account that signed in."""
    tokens = (await exchange(client, code)).json()
    answer = await client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    return answer.json()


async def count(app: FastAPI, model: type) -> int:
    """Return the number of rows in a table."""
    async with services_of(app).database.transaction() as session:
        return (await session.scalars(select(func.count()).select_from(model))).one()
