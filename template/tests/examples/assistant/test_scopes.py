"""Scopes, and access to other callers' conversations."""

from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.services import services_of
from keel.testing.identity import sign_in
from tests.examples.assistant.api import CONVERSATIONS, ask, open_conversation

ID = UUID(int=0)
OPERATIONS = [
    ("GET", CONVERSATIONS, "assistant:read"),
    ("POST", CONVERSATIONS, "assistant:write"),
    ("GET", f"{CONVERSATIONS}/{ID}", "assistant:read"),
    ("PATCH", f"{CONVERSATIONS}/{ID}", "assistant:write"),
    ("DELETE", f"{CONVERSATIONS}/{ID}", "assistant:write"),
    ("POST", f"{CONVERSATIONS}/{ID}/messages", "assistant:write"),
    ("POST", f"{CONVERSATIONS}/{ID}/messages/{ID}/regenerate", "assistant:write"),
    ("GET", f"{CONVERSATIONS}/{ID}/messages/current", "assistant:read"),
    ("GET", f"{CONVERSATIONS}/{ID}/messages/{ID}/events", "assistant:read"),
    ("DELETE", f"{CONVERSATIONS}/{ID}/messages/current", "assistant:write"),
]


@pytest.mark.parametrize(("method", "url", "scope"), OPERATIONS)
async def test_a_token_without_the_scope(
    app: FastAPI, anonymous: AsyncClient, method: str, url: str, scope: str
) -> None:
    """A token without the scope is refused, whatever its other scopes."""
    services = services_of(app)
    token = services.auth.tokens.make("ada", " ".join(services.scopes.keys() - {scope}), ID)
    body = {"content": "Ahoy"} if url.endswith("messages") else {}
    refused = await anonymous.request(method, url, headers={"Authorization": f"Bearer {token}"}, json=body)

    assert refused.status_code == 403
    assert f'scope="{scope}"' in refused.headers["WWW-Authenticate"]


async def test_conversations_of_another(app: FastAPI, client: AsyncClient) -> None:
    """No operation finds another caller's conversations."""
    conversation = await open_conversation(client)
    answer = await ask(client, conversation, "Ahoy")
    await sign_in(client, "eve")
    paths = [url.replace(str(ID), conversation, 1).replace(str(ID), answer["id"]) for _, url, _ in OPERATIONS[2:]]
    answers = [
        await client.request(method, path, json={"content": "Ahoy"} if path.endswith("messages") else {})
        for (method, _, _), path in zip(OPERATIONS[2:], paths, strict=True)
    ]

    assert [each.status_code for each in answers] == [404] * 8
    assert (await client.get(CONVERSATIONS)).json()["items"] == []
