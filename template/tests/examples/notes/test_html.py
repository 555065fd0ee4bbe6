"""Cached pages: never stale, and none of a deleted note."""

from collections.abc import Callable

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.services import services_of
from tests.examples.notes.api import NOTES, create

LONG = "Some *words*. " * 200


class Renderings:
    """Counts how often something is rendered."""

    def __init__(self, render: Callable[[str, str], str]) -> None:
        self.count = 0
        self._render = render

    def __call__(self, title: str, body: str) -> str:
        """Render."""
        self.count += 1
        return self._render(title, body)


@pytest.fixture
def renderings(monkeypatch: pytest.MonkeyPatch) -> Renderings:
    """Return what counts."""
    from app.examples.notes import rendering

    counted = Renderings(rendering._render)
    monkeypatch.setattr(rendering, "_render", counted)
    return counted


async def page(client: AsyncClient, note: dict[str, str]) -> str:
    """Return a note's page."""
    answer = await client.get(f"{NOTES}/{note['id']}/html")
    assert answer.status_code == 200
    return answer.text


async def test_long_pages_are_rendered_once(client: AsyncClient, renderings: Renderings) -> None:
    """A page is rendered once for each version; short ones are not worth asking for."""
    long, short = await create(client, body=LONG), await create(client, body="*short*")
    for note in (long, long, short, short):
        assert "<em>" in await page(client, note)
    assert renderings.count == 3

    await client.patch(f"{NOTES}/{long['id']}", json={"body": f"# New\n\n{LONG}"})
    assert "<h1>New</h1>" in await page(client, long)
    assert renderings.count == 4


async def test_nothing_is_left_of_what_is_gone(
    app: FastAPI, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changing or deleting a note forgets what was kept of it, after the commit."""
    forgotten: list[str] = []
    invalidate = services_of(app).cache.invalidate

    async def watched(*tags: str) -> None:
        forgotten.extend(tags)
        await invalidate(*tags)

    monkeypatch.setattr(services_of(app).cache, "invalidate", watched)
    note = await create(client, body=LONG)
    await client.patch(f"{NOTES}/{note['id']}", json={"title": "t"}, headers={"If-Match": '"9"'})
    assert forgotten == []
    await client.patch(f"{NOTES}/{note['id']}", json={"title": "t"})
    await client.delete(f"{NOTES}/{note['id']}")
    assert forgotten == [f"note:{note['id']}"] * 2
