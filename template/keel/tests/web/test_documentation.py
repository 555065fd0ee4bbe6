"""The documentation pages load nothing from other servers."""

import re
from html import escape

import pytest
from httpx2 import AsyncClient

from app.main import create_app
from keel import about
from keel.testing.support import calling

PAGES = ("/docs", "/redoc")


@pytest.mark.parametrize("page", PAGES)
async def test_assets_are_served_locally(client: AsyncClient, page: str) -> None:
    """Every URL in a page is local, and returns 200."""
    answer = await client.get(page)
    loaded = re.findall(r"""(?:src|href|spec-url)="([^"]+)"|url: '([^']+)'""", answer.text)
    addresses = [first or second for first, second in loaded]

    assert answer.status_code == 200
    assert f"<title>{escape(about.NAME)}</title>" in answer.text
    assert len(addresses) >= 3
    for address in addresses:
        assert address.startswith("/")
        assert (await client.get(address, headers={"Accept-Encoding": "identity"})).status_code == 200


@pytest.mark.parametrize("page", [*PAGES, "/docs/oauth2-redirect"])
async def test_policy_allows_scripts_by_hash(client: AsyncClient, page: str) -> None:
    """An injected script does not run, and no other server is contacted."""
    policy = (await client.get(page)).headers["Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))

    assert "unsafe" not in rules["script-src"]
    assert "http" not in policy
    assert rules["default-src"] == "'self'"
    assert ("sha256-" in rules["script-src"]) == (page != "/redoc")
    assert ("style-src" in rules) == (page == "/redoc")


@pytest.mark.parametrize("page", PAGES)
async def test_behind_a_path_prefix(environment: None, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """URLs in the pages include `root_path`."""
    app = create_app()
    app.root_path = "/below"
    async with app.router.lifespan_context(app), calling(app) as client:
        text = (await client.get(page)).text

    assert "/below/openapi.json" in text
    assert "/below/docs/assets/" in text


@pytest.mark.parametrize("name", ["nowhere.js", "../core.py", "..%2fcore.py"])
async def test_other_files_are_not_served(client: AsyncClient, name: str) -> None:
    """Other paths get a problem document."""
    answer = await client.get(f"/docs/assets/{name}")

    assert answer.status_code == 404
    assert answer.json()["status"] == 404
