"""The documentation site: built strictly and offline, shallow, and readable on a phone."""

from __future__ import annotations

import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.machinery.browser import PHONE, browsing
from tests.machinery.rendering import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = ROOT / "docs"
PAGES = sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))
_LINK = re.compile(r"\]\(((?!\w+:|#)[^)\s#]+\.md)[^)]*\)")
#: What is wrong with a page: it is wider than the screen, or names of a table's first column are broken.
FAULTS = """
const broken = [...document.querySelectorAll("article td:first-child code")]
    .filter((name) => name.getClientRects().length > 1).map((name) => name.textContent);
return document.documentElement.scrollWidth > innerWidth ? ["wider than the screen", ...broken] : broken;
"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as it is called there
        """Print nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built where no network is; a broken link or anchor fails."""
    place = tmp_path_factory.mktemp("site")
    # Copied: with links to them, the builder would write beside the originals.
    shutil.copytree(DOCS, place / "docs")
    shutil.copy(ROOT / "zensical.toml", place)
    builder = Path(sys.executable).parent / "zensical"
    nowhere = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "PATH": os.defpath}
    command = [builder, "build", "--strict"]
    result = subprocess.run(command, cwd=place, env=nowhere, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{result.stdout}{result.stderr}"
    return place / "site"


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def built(site: Path, page: str) -> Path:
    """What was built of a page."""
    path = Path(page)
    return site / path.parent / ("index.html" if path.stem == "index" else f"{path.stem}/index.html")


@pytest.mark.parametrize("page", PAGES)
def test_page_is_built(site: Path, page: str) -> None:
    """Each page is built, and in the navigation."""
    assert built(site, page).is_file()
    assert f'"{page}"' in (ROOT / "zensical.toml").read_text(encoding="utf-8"), "list it in zensical.toml"


def test_every_page_is_two_clicks_away() -> None:
    """From the landing page, by links in the text, without unfolding the navigation."""
    near = {"index.md"}
    for _ in range(2):
        near |= {
            os.path.normpath(Path(page).parent / target)
            for page in near
            for target in _LINK.findall((DOCS / page).read_text(encoding="utf-8"))
        }
    assert [page for page in PAGES if page not in near] == []


def test_the_landing_page_begins_with_what_to_do() -> None:
    """A picture, one command, and the next steps come first."""
    text = (DOCS / "index.md").read_text(encoding="utf-8").partition("\n## ")[0]
    assert text.index("images/session.svg") < text.index("```console") < text.index("(quick-start.md)")
    (command,) = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert command.count("\n") == 1


def test_pages_in_a_browser(site: Path, address: str, tmp_path: Path) -> None:
    """Navigation groups are folded on the landing page; pages fit a phone, names in tables are not broken."""
    unfolded = (
        "return [...document.querySelectorAll('.md-nav__item--nested > .md-nav__toggle')].map(t => t.checked)"
    )
    with browsing(tmp_path) as browser:
        browser.driver.get(address)
        assert browser.script(unfolded) == [False] * 3
        browser.size(*PHONE)
        for page in PAGES:
            browser.driver.get(f"{address}/{built(site, page).relative_to(site).parent.as_posix()}/")
            assert browser.script(FAULTS) == [], page
