"""Scopes needed to start, read and cancel tasks."""

import asyncio
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.services import services_of
from keel.testing.support import PATIENCE
from keel.tests.celery.support import TASKS

ID = UUID(int=0)
OPERATIONS = [
    ("GET", TASKS, "tasks:read"),
    ("GET", f"{TASKS}/{ID}", "tasks:read"),
    ("GET", f"{TASKS}/{ID}/result", "tasks:read"),
    ("GET", f"{TASKS}/{ID}/events", "tasks:read"),
    ("POST", f"{TASKS}/exports", "tasks:write"),
    ("POST", f"{TASKS}/{ID}/cancel", "tasks:write"),
]


@pytest.mark.parametrize(("method", "url", "scope"), OPERATIONS)
async def test_a_token_without_the_scope(
    app: FastAPI, anonymous: AsyncClient, method: str, url: str, scope: str
) -> None:
    """A token without the scope is refused, whatever its other scopes."""
    services = services_of(app)
    token = services.auth.tokens.make("ada", " ".join(services.scopes.keys() - {scope}), ID)
    body = None if method == "GET" else {"kind": "widgets"}

    async with asyncio.timeout(PATIENCE):  # a stream that is not refused goes on and on
        refused = await anonymous.request(method, url, headers={"Authorization": f"Bearer {token}"}, json=body)

    assert refused.status_code == 403
    assert f'scope="{scope}"' in refused.headers["WWW-Authenticate"]
