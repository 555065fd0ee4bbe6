"""The demo page in a real browser: two tabs, a restart of the server, a phone, the keyboard."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.machinery.browser import PHONE, Browser, browsing
from tests.machinery.rendering import render
from tests.machinery.serving import Isolated, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machinery.resources import Resources

#: What a mail leads to, as it stands in the log.
LINK = re.compile(r"http://\S+#token=\S+")
EMAIL, PASSWORD = "owner@example.com", "correct horse battery staple"

#: Run in the project while no server runs: what clients missed meanwhile comes to them in one frame.
STORE = """
import asyncio
from app.examples.chat.message_store import Draft, MessageStore
from app.examples.chat.repository import ChatReader
from app.main import create_app
from keel.services import services_of

async def main():
    app = create_app()
    async with app.router.lifespan_context(app):
        (room,) = await ChatReader(services_of(app).database.read).rooms(1, None)
        drafts = [Draft("guest", str(n), f"Missed {n}") for n in range(3)]
        await MessageStore(services_of(app).database).append(room.id, drafts)

asyncio.run(main())
"""


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A headless Chromium."""
    with browsing(tmp_path) as started:
        yield started


def serving(resources: Resources, place: Path, **answers: bool) -> Isolated:
    """A project with chat, ready to serve."""
    project = render(resources.template, place, {"preset": "minimal", "websockets": True, **answers})
    # What the project depends on is examined elsewhere.
    shared = {"UV_PROJECT_ENVIRONMENT": str(Path(resources.python).parents[1]), "UV_NO_SYNC": "1"}
    isolated = Isolated(project, {"ENVIRONMENT": "local", **shared})
    isolated.must("run", "python", "-m", "app", "migrate")
    return isolated


def test_two_tabs(resources: Resources, browser: Browser, tmp_path: Path) -> None:
    """Both tabs get messages and changes of notes; messages written during an outage arrive after it."""
    isolated, port = serving(resources, tmp_path / "project"), free_port()
    command = ("uvicorn", "app.main:app", "--port", "{port}", "--timeout-graceful-shutdown", "5")
    with isolated.served(*command, port=port) as (address, server):
        browser.open(f"{address}/demo")
        browser.until(lambda: browser.focused() == "room-name")
        browser.press("Harbour", Keys.ENTER)
        browser.sees("#status", "Connected")
        browser.until(lambda: browser.focused() == "say")
        browser.press("Ahoy! Is the crane free?", Keys.ENTER)
        browser.sees("#messages .mine:not(.waiting)", "Ahoy!")
        browser.tab(0)
        browser.driver.refresh()
        browser.sees("#messages", "Ahoy!")
        browser.write("#say", "From two o'clock on, <b>yes</b>.")
        browser.write("#note-title", "Grease the crane")
        browser.sees("#notes", "created Grease the crane")
        browser.tab(1)
        browser.sees("#messages li:last-child:not(.mine)", "<b>yes</b>.")
        browser.sees("#notes", "created Grease the crane")
        browser.sees("#presence", "Here: you")
        assert server.stop() in {0, 143}, server.log

    browser.sees("#status", "Connection lost")
    browser.write("#say", "Are you there?")
    browser.sees("#messages .waiting", "Are you there?")
    isolated.must("run", "python", "-c", STORE)
    with isolated.served(*command, port=port):
        browser.sees("#messages .mine:last-child:not(.waiting)", "Are you there?")
        browser.tab(0)
        browser.sees("#messages li:last-child", "Are you there?")
        bodies = browser.text("#messages")
        said = ("Ahoy!", "yes", "Missed 0", "Missed 1", "Missed 2", "there?")
        assert [bodies.count(body) for body in said] == [1] * len(said)
        assert sorted(said, key=bodies.index) == list(said)
        browser.write("#note-title", "Paint the shed")
        for number in (0, 1):
            browser.tab(number)
            browser.sees("#notes", "Paint the shed")
            assert browser.complaints() == []
        phone(browser)


def phone(browser: Browser) -> None:
    """Everything is in reach on a phone, and of the keyboard."""
    browser.size(*PHONE)
    for selector in ("#say", "#composer button", "#note-title", "#room-name"):
        assert browser.fits(selector), selector
    buttons = "return [...document.querySelectorAll('button:not([hidden])')].map(b => b.offsetHeight).filter(h => h)"
    assert min(browser.script(buttons)) >= 44, "a finger needs more"
    browser.script("document.activeElement.blur(); document.body.focus()")
    browser.driver.refresh()
    browser.sees("#messages", "Are you there?")
    browser.script("document.activeElement.blur()")
    browser.press(Keys.TAB)
    assert browser.focused() == "Skip to the message field"
    browser.press(Keys.ENTER)
    browser.until(lambda: browser.focused() == "say")
    browser.press("By keyboard", Keys.ENTER)
    browser.sees("#messages .mine:last-child", "By keyboard")
    at_end = (
        "const m = document.querySelector('#messages');"
        "return m.scrollHeight - m.scrollTop - m.clientHeight < 2"
    )
    # It gets there smoothly.
    browser.until(lambda: browser.script(at_end), "the newest is out of sight")


def test_signing_in(resources: Resources, browser: Browser, tmp_path: Path) -> None:
    """If callers sign in, the page asks for an account, shows errors, and sends messages in its name."""
    isolated = serving(resources, tmp_path / "project", auth=True)
    isolated.must("run", "python", "-m", "app", "auth", "create-admin", EMAIL, "--password", PASSWORD)
    with isolated.served("uvicorn", "app.main:app", "--port", "{port}") as (address, _):
        browser.driver.get(f"{address}/demo")
        browser.until(lambda: browser.focused() == "" or "E-mail" in browser.text("#sign-in"))
        browser.write("[name=username]", EMAIL, Keys.TAB, "something else")
        browser.until(lambda: browser.text("#sign-in-error"))
        browser.write("[name=password]", PASSWORD)
        browser.until(lambda: browser.focused() == "room-name")
        browser.press("Harbour", Keys.ENTER)
        browser.sees("#status", "Connected")
        browser.press("Ahoy", Keys.ENTER)
        browser.sees("#messages .mine:not(.waiting)", "Ahoy")
        # The stream of notes carries the token too, and no address does.
        browser.write("#note-title", "Grease the crane")
        browser.sees("#notes", "created Grease the crane")
        asked = browser.script("return performance.getEntriesByType('resource').map(entry => entry.name)")
        assert not [url for url in asked if "token=" in url]
        browser.driver.find_element(By.ID, "sign-out").click()
        browser.sees("#status", "Sign in to talk")


def test_registering(resources: Resources, browser: Browser, tmp_path: Path) -> None:
    """The page creates an account: the link is in the server's log, and a weak password is reported."""
    isolated = serving(resources, tmp_path / "project", auth=True)
    with isolated.served("uvicorn", "app.main:app", "--port", "{port}") as (address, server):
        browser.driver.get(f"{address}/demo")
        browser.sees("#sign-in-form", "auth create-admin")
        browser.driver.find_element(By.ID, "register").click()
        browser.until(lambda: browser.script("return document.activeElement.name") == "email")
        browser.press(EMAIL, Keys.ENTER)
        browser.sees("#confirm-form", EMAIL)
        browser.until(lambda: LINK.search(server.log), "no link in the log")
        (link,) = LINK.findall(server.log)
        browser.press(link, Keys.TAB, "short", Keys.ENTER)
        browser.until(lambda: browser.text("#confirm-form .error"))
        browser.driver.find_element(By.CSS_SELECTOR, "#confirm-form [name=password]").clear()
        browser.size(*PHONE)
        assert browser.fits("#confirm-form")
        browser.write("#confirm-form [name=password]", PASSWORD)
        browser.until(lambda: browser.focused() == "room-name")
        browser.driver.find_element(By.ID, "sign-out").click()
        browser.sees("#status", "Sign in to talk")
        browser.write("[name=username]", EMAIL, Keys.TAB, PASSWORD)
        browser.until(lambda: browser.focused() == "room-name")
