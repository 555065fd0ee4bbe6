"""Scopes needed to read and change rooms."""

from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.services import services_of
from tests.examples.chat.api import ROOMS

ID = UUID(int=0)
OPERATIONS = [
    ("GET", ROOMS, "chat:read"),
    ("GET", f"{ROOMS}/{ID}", "chat:read"),
    ("GET", f"{ROOMS}/{ID}/messages", "chat:read"),
    ("POST", ROOMS, "chat:write"),
]


@pytest.mark.parametrize(("method", "url", "scope"), OPERATIONS)
async def test_a_token_without_the_scope(
    app: FastAPI, anonymous: AsyncClient, method: str, url: str, scope: str
) -> None:
    """A token without the scope is refused, whatever its other scopes."""
    services = services_of(app)
    token = services.auth.tokens.make("ada", " ".join(services.scopes.keys() - {scope}), ID)
    body = None if method == "GET" else {"name": "A room"}

    refused = await anonymous.request(method, url, headers={"Authorization": f"Bearer {token}"}, json=body)

    assert refused.status_code == 403
    assert f'scope="{scope}"' in refused.headers["WWW-Authenticate"]
