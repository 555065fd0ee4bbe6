"""The demonstration page: its files, and how to switch it off."""

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.examples.assistant import plugin
from app.main import create_app
from keel.testing.support import running
from tests.examples.assistant.api import CONVERSATIONS

PAGES = Path(plugin.__file__).with_name("pages")


async def test_page(anonymous: AsyncClient) -> None:
    """The page is served with its files, loads nothing from elsewhere, and has no inline script."""
    redirect = await anonymous.get("/demo/assistant")
    page = await anonymous.get(redirect.headers["Location"])
    files = re.findall(r'(?:src|href)="([^"#]+)"', page.text)

    assert page.status_code == 200
    assert "default-src 'none'; script-src 'self'" in page.headers["Content-Security-Policy"]
    assert files
    for name in files:
        assert (await anonymous.get(f"/demo/assistant/{name}")).status_code == 200, name
    assert not re.search(r"<script>|<style|style=| on\w+=|https?://", page.text)


async def test_page_can_be_switched_off(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `ASSISTANT_DEMO` there is no page, and conversations still work."""
    monkeypatch.setenv("ASSISTANT_DEMO", "false")
    async with running(create_app()) as client:
        assert (await client.get("/demo/assistant/")).status_code == 404
        assert (await client.get(CONVERSATIONS)).status_code == 200


@pytest.mark.parametrize("name", sorted(path.name for path in PAGES.iterdir()))
def test_files_name_no_other_server(name: str) -> None:
    """No file of the page names another server, or parses text as HTML."""
    text = PAGES.joinpath(name).read_text(encoding="utf-8")
    assert not re.search(r"https?://(?!www\.w3\.org|\[)[a-z]", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text)
