"""Cached pages: never stale, and never of a deleted note."""

import asyncio
import re
from collections.abc import Callable
from time import process_time

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.examples.notes import rendering
from keel.services import services_of
from keel.testing.support import eventually
from tests.examples.notes.api import NOTES, create

LONG = "Some *words*. " * 200

HARD = ["[", "![", "*a_ ", "<![CDATA[", "[a](", "[[]", "<", "> ", "`", "- ", "**x ", "<!A ", "&", "|a"]
"""Parts that renderers take quadratic time for, where they are repeated."""


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
    counted = Renderings(rendering._render)
    monkeypatch.setattr(rendering, "_render", counted)
    return counted


async def page(client: AsyncClient, note: dict[str, str]) -> str:
    """Return a note's page."""
    answer = await client.get(f"{NOTES}/{note['id']}/html")
    assert answer.status_code == 200
    return answer.text


async def test_long_pages_are_rendered_once(client: AsyncClient, renderings: Renderings) -> None:
    """A page is rendered once per version; short ones are not cached."""
    long, short = await create(client, body=LONG), await create(client, body="*short*")
    for note in (long, long, short, short):
        assert "<em>" in await page(client, note)
    assert renderings.count == 3

    await client.patch(f"{NOTES}/{long['id']}", json={"body": f"# New\n\n{LONG}"})
    assert "<h1>New</h1>" in await page(client, long)
    assert renderings.count == 4


async def test_changes_invalidate_the_cache(app: FastAPI, client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changing or deleting a note invalidates its page, after the commit."""
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


async def test_rendering_is_limited_per_caller(client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few pages of one caller are rendered or queued at once; a finished one makes room."""
    waiting, may_go_on = list[str](), asyncio.Event()

    async def wait(title: str, _: str) -> str:
        waiting.append(title)
        await may_go_on.wait()
        return title

    monkeypatch.setattr(rendering, "page", wait)
    note = await create(client, body="short")
    url = f"{NOTES}/{note['id']}/html"
    pages = [asyncio.create_task(client.get(url)) for _ in range(8)]
    await eventually(lambda: len(waiting) == 8)
    refused = await client.get(url)
    may_go_on.set()

    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
    assert [(await page).status_code for page in pages] == [200] * 8
    assert (await client.get(url)).status_code == 200


def test_rendering_time_is_linear() -> None:
    """For any kind of body, ten times the length takes far less than a hundred times as long."""
    for part in HARD:
        short, long = (seconds(part * (size // len(part))) for size in (10_000, 100_000))

        # What takes a moment anyway says nothing of proportions.
        assert long < max(40 * short, 0.5), f"{part}: {short:.4f} s, {long:.4f} s"


def seconds(body: str) -> float:
    """Return the processor time that rendering a body takes, at best."""
    times = []
    for _ in range(3):
        begun = process_time()
        rendering._render("A note", body)
        times.append(process_time() - begun)
    return min(times)


async def test_raw_html_is_shown(client: AsyncClient) -> None:
    """HTML is escaped, and links that would run a script are removed."""
    body = "Text: <script>alert(1)</script> <b onclick=x> [a](javascript:x) [b](DATA:text/html,x) [c](https://a.b)"
    html = await page(client, await create(client, body=body))

    assert "&lt;script&gt;" in html
    assert not re.search("<script|<b[ >]|javascript:|DATA:", html)
    assert '<a href="https://a.b">c</a>' in html
