"""The page of statistics in a real browser: charts and their tables, a filter, a file, a phone, an account."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.keys import Keys

from tests.machinery.browser import PHONE, Browser, browsing
from tests.machinery.rendering import render
from tests.machinery.serving import Isolated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machinery.resources import Resources

EMAIL, PASSWORD = "owner@example.com", "correct horse battery staple"
DESK = (1280, 900)

#: Run in the project: notes of a summer, more and more of them.
FILL = """
import asyncio, sys
from datetime import datetime, timedelta, timezone
from sqlalchemy import select, update
from app.examples.notes import seed
from app.examples.notes.models import Note
from app.main import create_app
from keel.services import services_of

async def main():
    app = create_app()
    async with app.router.lifespan_context(app):
        async for _ in seed.seed(app, 120):
            pass
        async with services_of(app).database.transaction() as session:
            ids = [*await session.scalars(select(Note.id).order_by(Note.id))]
            for number, note in enumerate(ids):
                day = 90 * (number / len(ids)) ** 0.5
                moment = datetime(2026, 6, 1, 9, tzinfo=timezone.utc) + timedelta(days=day)
                await session.execute(update(Note).where(Note.id == note).values(created_at=moment))

asyncio.run(main())
"""

#: Whether something was painted in a canvas.
PAINTED = """
const canvas = document.querySelector("#timeline canvas");
if (!canvas?.width) return false;
const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
return new Set(new Uint32Array(data.buffer)).size > 3;
"""


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A headless Chromium."""
    with browsing(tmp_path) as started:
        yield started


def serving(resources: Resources, place: Path, **answers: bool) -> Isolated:
    """A project with statistics, ready to serve."""
    project = render(resources.template, place, {"preset": "minimal", "analytics": True, **answers})
    shared = {"UV_PROJECT_ENVIRONMENT": str(Path(resources.python).parents[1]), "UV_NO_SYNC": "1"}
    isolated = Isolated(project, {"ENVIRONMENT": "local", **shared})
    isolated.must("run", "python", "-m", "app", "migrate")
    return isolated


def picture(browser: Browser, place: Path, name: str) -> None:
    """Keep a picture of the whole page, for a look at it."""
    metrics = browser.script("return [innerWidth, document.documentElement.scrollHeight]")
    browser.size(*metrics)
    browser.driver.save_screenshot(str(place / f"statistics-{name}.png"))


def in_the_dark(browser: Browser, *, dark: bool) -> None:
    """Prefer a scheme of colours."""
    feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def table(browser: Browser, selector: str) -> list[list[str]]:
    """The cells of a table's body."""
    cells = "[...row.cells].map(cell => cell.textContent)"
    rows = f"return [...document.querySelectorAll(arguments[0] + ' tbody tr')].map(row => {cells})"
    return list(browser.script(rows, selector))


def test_charts(resources: Resources, browser: Browser, tmp_path: Path) -> None:
    """Each chart has a table with its numbers; a filter applies to all of them, and to the downloaded file."""
    isolated = serving(resources, tmp_path / "project", websockets=True)
    isolated.must("run", "python", "-c", FILL)
    with isolated.served("uvicorn", "app.main:app", "--port", "{port}") as (address, _):
        browser.size(*DESK)
        in_the_dark(browser, dark=False)
        browser.driver.get(f"{address}/demo/statistics")
        browser.sees("#status", "Updated")
        browser.until(lambda: browser.script(PAINTED), "nothing is drawn")
        days = table(browser, "#timeline-table")
        assert sum(int(row[1]) for row in days) == 120
        assert len(table(browser, "#weekdays")) == 7
        assert sum(int(row[1]) for row in table(browser, "#weekdays")) == 120
        assert "120 notes in" in browser.script("return document.querySelector('#timeline').ariaLabel")
        picture(browser, tmp_path, "desk-light")
        browser.size(*DESK)
        light = browser.script("return document.querySelector('#timeline canvas').toDataURL()")
        in_the_dark(browser, dark=True)
        same = "return document.querySelector('#timeline canvas').toDataURL() === arguments[0]"
        browser.until(lambda: not browser.script(same, light), "the chart keeps the colours of the day")
        picture(browser, tmp_path, "desk-dark")

        browser.size(*DESK)
        browser.write("[name=tag]", "harbour")
        browser.until(lambda: 0 < sum(int(row[1]) for row in table(browser, "#timeline-table")) < 120)
        browser.script(
            "document.querySelector('[name=unit]').value = 'month'; document.querySelector('#filter').requestSubmit()"
        )
        browser.until(lambda: len(table(browser, "#timeline-table")) == 3)
        months = table(browser, "#timeline-table")
        assert [row[0] for row in months] == ["2026-06-01", "2026-07-01", "2026-08-01"]

        downloads = {"behavior": "allow", "downloadPath": str(tmp_path)}
        browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", downloads)
        browser.script("document.querySelector('[data-download=\"text/csv\"]').click()")
        file = tmp_path / "timeline.csv"
        browser.until(file.exists, "no file came")
        lines = [*csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")))]
        assert [line["notes"] for line in lines] == [row[1] for row in months]

        browser.write("[name=tz]", "Mars/Olympus")
        browser.sees("#status.bad", "use an IANA time zone")
        assert [text for text in browser.complaints() if " 422 " not in text] == []
        # Chat's page is still where it was, one path above.
        browser.driver.get(f"{address}/demo")
        browser.sees("#status", "Open a room")


def test_on_a_phone(resources: Resources, browser: Browser, tmp_path: Path) -> None:
    """Nothing is wider than the screen, targets are large enough for a finger, and the keyboard reaches the tables."""
    isolated = serving(resources, tmp_path / "project")
    isolated.must("run", "python", "-c", FILL)
    with isolated.served("uvicorn", "app.main:app", "--port", "{port}") as (address, _):
        browser.size(*PHONE)
        in_the_dark(browser, dark=True)
        browser.driver.get(f"{address}/demo/statistics")
        browser.sees("#status", "Updated")
        browser.until(lambda: browser.script(PAINTED), "nothing is drawn")
        assert browser.script("return document.documentElement.scrollWidth <= innerWidth")
        targets = "[...document.querySelectorAll('button, input, select, summary')]"
        heights = browser.script(f"return {targets}.map(each => each.offsetHeight).filter(height => height)")
        assert min(heights) >= 44, "a finger needs more"
        browser.press(Keys.TAB)
        assert browser.focused() == "Skip to the charts"
        browser.press(Keys.ENTER)
        browser.until(lambda: browser.focused() == "charts")
        browser.press(Keys.TAB, Keys.TAB, Keys.TAB)
        browser.until(lambda: "as a table" in browser.focused())
        browser.press(Keys.ENTER)
        browser.until(lambda: browser.script("return document.querySelector('details').open"))
        assert browser.text("#timeline-table tbody tr:first-child")
        picture(browser, tmp_path, "phone-dark")
        browser.size(*PHONE)
        in_the_dark(browser, dark=False)
        picture(browser, tmp_path, "phone-light")
        assert browser.complaints() == []


def test_an_account(resources: Resources, browser: Browser, tmp_path: Path) -> None:
    """If callers sign in, the page asks for an account, and shows that account's numbers."""
    isolated = serving(resources, tmp_path / "project", auth=True)
    isolated.must("run", "python", "-m", "app", "auth", "create-admin", EMAIL, "--password", PASSWORD)
    with isolated.served("uvicorn", "app.main:app", "--port", "{port}") as (address, _):
        browser.driver.get(f"{address}/demo/statistics")
        browser.sees("#status", "Sign in")
        browser.write("[name=username]", EMAIL, Keys.TAB, "something else")
        browser.until(lambda: browser.text("#sign-in-error"))
        browser.write("[name=password]", PASSWORD)
        browser.sees("#status", "No notes")
        assert [row[1] for row in table(browser, "#weekdays")] == ["0"] * 7
        browser.script("document.querySelector('#sign-out').click()")
        browser.sees("#status", "Sign in")
