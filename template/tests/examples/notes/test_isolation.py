"""What belongs to somebody else does not exist."""

from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.caller import Caller
from keel.identity import current_caller
from tests.examples.notes.api import NOTES, create, titles


async def test_notes_of_others_are_not_found(app: FastAPI, client: AsyncClient) -> None:
    """In every verb, filter and cursor, the notes of others are as if they were not there."""
    note = await create(client, title="private", tags=["secret"])
    await create(client, title="also private", tags=["secret"])
    page = (await client.get(NOTES, params={"limit": 1})).json()
    url = f"{NOTES}/{note['id']}"

    app.dependency_overrides[current_caller] = lambda: Caller("stranger")

    assert (await client.get(url)).status_code == 404
    assert (await client.get(f"{url}/html")).status_code == 404
    assert (await client.patch(url, json={"title": "mine now"})).status_code == 404
    assert (await client.delete(url)).status_code == 404
    assert await titles(client) == []
    assert await titles(client, tag="secret") == []
    assert await titles(client, q="private") == []
    assert await titles(client, cursor=page["next"]) == []


async def test_tags_of_others_are_not_shared(app: FastAPI, client: AsyncClient) -> None:
    """Two owners may use the same word without meeting."""
    await create(client, title="first", tags=["word"])
    app.dependency_overrides[current_caller] = lambda: Caller("stranger")
    await create(client, title="second", tags=["word"])

    assert await titles(client, tag="word") == ["second"]
