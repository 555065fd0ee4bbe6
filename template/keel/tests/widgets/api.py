"""API calls for tests."""

from collections.abc import AsyncIterator
from typing import Any

from httpx2 import AsyncClient, Response

WIDGETS = "/api/v1/widgets"
EVENTS = f"{WIDGETS}/events"


async def create(client: AsyncClient, title: str = "A widget", **fields: Any) -> dict[str, Any]:
    """Create a widget; return it as JSON."""
    answer = await client.post(WIDGETS, json={"title": title, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def titles(client: AsyncClient, **query: Any) -> list[str]:
    """Return the titles of a list, newest first."""
    answer = await client.get(WIDGETS, params=query)
    assert answer.status_code == 200, answer.text
    return [widget["title"] for widget in answer.json()["items"]]


async def events(answer: Response) -> AsyncIterator[dict[str, str]]:
    """Read server-sent events as a browser does: fields by name, an empty line at the end of each."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield fields
            fields = {}
