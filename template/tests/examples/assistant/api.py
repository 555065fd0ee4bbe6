"""API calls for tests of the assistant."""

import json
from collections.abc import AsyncIterator
from typing import Any

from httpx2 import AsyncClient, Response

CONVERSATIONS = "/api/v1/assistant/conversations"

Event = tuple[str, str | None, Any]
"""Its name, id and data."""


async def open_conversation(client: AsyncClient, **data: Any) -> str:
    """Open a conversation; return its id."""
    answer = await client.post(CONVERSATIONS, json=data)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


async def read(client: AsyncClient, conversation: str) -> dict[str, Any]:
    """Return a conversation with its branch."""
    answer = await client.get(f"{CONVERSATIONS}/{conversation}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def events(answer: Response) -> AsyncIterator[Event]:
    """Read server-sent events."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            if "event" in fields:
                yield fields["event"], fields.get("id"), json.loads(fields["data"])
            fields = {}


async def stream(client: AsyncClient, method: str, path: str, **options: Any) -> list[Event]:
    """Return all events of a stream."""
    async with client.stream(method, f"{CONVERSATIONS}/{path}", **options) as answer:
        assert answer.status_code == 200, await answer.aread()
        return [event async for event in events(answer)]


async def ask(client: AsyncClient, conversation: str, content: str, **data: Any) -> dict[str, Any]:
    """Ask; return the whole answer."""
    found = await stream(client, "POST", f"{conversation}/messages", json={"content": content, **data})
    assert found[-1][0] == "message", found
    return found[-1][2]
