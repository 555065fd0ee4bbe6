"""The platform tests' own resource works, in-process and over a real connection."""

import json

from httpx2 import AsyncClient

from keel.testing.server import Server
from keel.tests.widgets.api import EVENTS, WIDGETS, create, events, titles


async def test_crud(client: AsyncClient) -> None:
    """A widget is created, read, updated and deleted."""
    widget = await create(client, "First", body="Long")

    url = f"{WIDGETS}/{widget['id']}"
    assert (await client.get(url)).json() == widget
    assert (await client.patch(url, json={"title": "Second"})).json() == {**widget, "title": "Second"}
    assert (await client.delete(url)).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        assert (await client.request(method, url, json={})).json()["type"] == "urn:problem:widget-not-found"


async def test_pages(client: AsyncClient) -> None:
    """Pages contain every widget once, newest first."""
    for title in "abc":
        await create(client, title)

    page = (await client.get(WIDGETS, params={"limit": 2})).json()

    assert [widget["title"] for widget in page["items"]] == ["c", "b"]
    assert await titles(client, cursor=page["next"]) == ["a"]


async def test_events(server: Server, client: AsyncClient) -> None:
    """New widgets are sent to a following client, and to one that resumes after an event."""
    async with server.client() as follower:
        follower.headers = client.headers
        async with follower.stream("GET", EVENTS) as answer:
            first = await create(follower)
            event = await anext(events(answer))
        assert (event["event"], json.loads(event["data"])) == ("created", first)

        second = await create(follower)
        async with follower.stream("GET", EVENTS, headers={"Last-Event-ID": event["id"]}) as answer:
            assert json.loads((await anext(events(answer)))["data"]) == second
