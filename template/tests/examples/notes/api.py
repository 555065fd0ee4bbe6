"""API calls for tests of notes."""

from typing import Any

from httpx2 import AsyncClient

from tests.examples.notes.factories import NoteCreateFactory

NOTES = "/api/v1/notes"


async def create(client: AsyncClient, **fields: Any) -> dict[str, Any]:
    """Create a note, with the given fields and some for the rest; return it as the API does."""
    note = NoteCreateFactory.build(**fields)
    answer = await client.post(NOTES, json=note.model_dump())
    assert answer.status_code == 201, answer.text
    return answer.json()


async def titles(client: AsyncClient, **query: Any) -> list[str]:
    """Return the titles of a list, in its order."""
    answer = await client.get(NOTES, params=query)
    assert answer.status_code == 200, answer.text
    return [note["title"] for note in answer.json()["items"]]
