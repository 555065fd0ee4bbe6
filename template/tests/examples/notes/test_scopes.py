"""Scopes needed to read and change notes."""

import asyncio
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.services import services_of
from keel.testing.support import PATIENCE
from tests.examples.notes.api import NOTES

ID = UUID(int=0)
OPERATIONS = [
    ("GET", NOTES, "notes:read"),
    ("GET", f"{NOTES}/{ID}", "notes:read"),
    ("GET", f"{NOTES}/{ID}/html", "notes:read"),
    ("GET", f"{NOTES}/events", "notes:read"),
    ("POST", NOTES, "notes:write"),
    ("PATCH", f"{NOTES}/{ID}", "notes:write"),
    ("DELETE", f"{NOTES}/{ID}", "notes:write"),
]


@pytest.mark.parametrize(("method", "url", "scope"), OPERATIONS)
async def test_a_token_without_the_scope(
    app: FastAPI, anonymous: AsyncClient, method: str, url: str, scope: str
) -> None:
    """A token without the scope is refused, whatever its other scopes."""
    services = services_of(app)
    token = services.auth.tokens.make("ada", " ".join(services.scopes.keys() - {scope}), ID)
    body = None if method == "GET" else {"title": "A note"}

    async with asyncio.timeout(PATIENCE):  # a stream that is not refused goes on and on
        refused = await anonymous.request(method, url, headers={"Authorization": f"Bearer {token}"}, json=body)

    assert refused.status_code == 403
    assert f'scope="{scope}"' in refused.headers["WWW-Authenticate"]
