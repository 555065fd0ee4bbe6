"""What tests of signing in with OpenID Connect say often."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from httpx2 import AsyncClient, Response

if TYPE_CHECKING:
    from tests.auth.oidc.provider import LoopbackProvider

OIDC = "/api/v1/auth/oidc"

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
"""The pair of RFC 7636, appendix B."""


async def begin(browser: AsyncClient, provider: "LoopbackProvider", sub: str = "ada-there") -> str:
    """Take a browser to the provider, and sign in there; return where the provider sends it back to."""
    begun = await browser.get(f"{OIDC}/login", params={"code_challenge": CHALLENGE})
    assert begun.status_code == 303, begun.text
    back = urlsplit(await provider.authorize(begun.headers["Location"], sub))
    assert f"{back.scheme}://{back.netloc}{back.path}" == f"https://front.example.com{OIDC}/callback"
    return f"{back.path}?{back.query}"


async def go_through(browser: AsyncClient, provider: "LoopbackProvider", sub: str = "ada-there") -> Response:
    """Take a browser to the provider and back; return what it sees then."""
    return await browser.get(await begin(browser, provider, sub))


def code_of(response: Response) -> str:
    """Return the code that a browser is sent on with."""
    assert response.status_code == 303, response.text
    return response.headers["Location"].partition("#code=")[2]


async def exchange(client: AsyncClient, response: Response, **fields: str) -> Response:
    """Exchange the code that a browser is sent on with."""
    body = {"code": code_of(response), "code_verifier": VERIFIER, **fields}
    return await client.post(f"{OIDC}/token", json=body)


async def me(client: AsyncClient, response: Response) -> dict[str, object]:
    """Return the account that a sign-in led to."""
    tokens = (await exchange(client, response)).json()
    answer = await client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    return answer.json()
