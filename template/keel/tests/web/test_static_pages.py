"""The project's own static pages: where they are found, and what they may do."""

from itertools import permutations
from pathlib import Path

import pytest
from fastapi import FastAPI

from keel.testing.support import calling
from keel.web.static_pages import CSP, mount_pages

PATHS = ("/demo", "/demo/figures", "/demo/figures/old")


@pytest.mark.parametrize("order", [*permutations(PATHS)])
async def test_nested_pages(tmp_path: Path, order: tuple[str, ...]) -> None:
    """Each is found, with and without the trailing slash, in any order of mounting."""
    app = FastAPI()
    for path in order:
        folder = tmp_path / path.replace("/", "-")
        folder.mkdir()
        (folder / "index.html").write_text(f"<p>{path}</p>", encoding="utf-8")
        mount_pages(app, path, folder)

    async with calling(app) as client:
        for path in PATHS:
            moved = await client.get(path)
            assert (moved.status_code, moved.headers["Location"]) == (307, f"{path}/")
            page = await client.get(f"{path}/")
            assert page.text == f"<p>{path}</p>"
            assert page.headers["Content-Security-Policy"] == CSP
        assert (await client.get("/demo/nothing")).status_code == 404
