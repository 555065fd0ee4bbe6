"""Helpers for tests of personal access tokens."""

from typing import Any

from httpx2 import AsyncClient, Response

from keel.tests.auth.fixtures import AUTH, Person
from keel.tests.widgets.api import WIDGETS

TOKENS = f"{AUTH}/tokens"
READ = "widgets:read"


def bearer(token: str) -> dict[str, str]:
    """Return request headers."""
    return {"Authorization": f"Bearer {token}"}


async def create(client: AsyncClient, person: Person, **fields: Any) -> Response:
    """Request a token, with other or additional fields."""
    return await client.post(TOKENS, json={"name": "machine", "scope": READ, **fields}, headers=person.headers)


async def status(client: AsyncClient, token: str) -> int:
    """Return the status of a request with the token."""
    answer = await client.get(WIDGETS, headers=bearer(token))
    if answer.status_code == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.json()["detail"] == "This token is not valid or has expired."
    return answer.status_code
