"""The assistant's page in a real browser: streams, reloads, a restart, branches, Markdown that is hostile, a phone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.machinery.browser import PHONE, Browser, browsing
from tests.machinery.rendering import render
from tests.machinery.serving import Isolated, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machinery.resources import Resources

EMAIL, PASSWORD = "owner@example.com", "correct horse battery staple"
COMMAND = ("uvicorn", "app.main:app", "--port", "{port}", "--timeout-graceful-shutdown", "5")

MARKDOWN = """Look:

# Cranes with `code`
Some **bold**, *slanted*, a [link](https://example.org/a_(b)) and https://example.org/bare.

- one
- two
  1. nested

| Crane | State |
|---|---|
| North | free |

```html
<b>as it is</b>
```
<img src=x onerror=alert(1)> ![pixel](https://example.org/p.png?secret) [bad](javascript:alert(1)) **open
<script>alert(2)</script>"""

#: Texts that make slow renderers slow: marks that do not close, and lists in lists.
HOSTILE = (
    "[" * 9000,
    "*a **b ***c " * 900,
    "`" * 9000,
    "> " * 4000 + "x",
    "- " * 4000 + "x",
    "| " * 4000 + "\n|-|\n",
    "# " + " " * 9000 + "x",
)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A headless Chromium; without one, or its driver, these tests are skipped."""
    with browsing(tmp_path) as opened:
        yield opened


def assistant(resources: Resources, place: Path, *, auth: bool = False, **variables: str) -> Isolated:
    """A project with the assistant, ready to serve."""
    project = render(resources.template, place, {"preset": "minimal", "llm": True, "auth": auth})
    # What the project depends on is examined elsewhere.
    shared = {"UV_PROJECT_ENVIRONMENT": str(Path(resources.python).parents[1]), "UV_NO_SYNC": "1"}
    isolated = Isolated(project, {"ENVIRONMENT": "local", **shared, **variables})
    isolated.must("run", "python", "-m", "app", "migrate")
    return isolated


def ask(browser: Browser, text: str) -> None:
    """Write a question as a whole, press Enter, and wait until its answer has begun."""
    browser.until(lambda: browser.script("return !document.querySelector('#send').hidden"))
    browser.script(
        "const field = document.querySelector('#question');"
        "field.value = arguments[0]; field.dispatchEvent(new Event('input')); field.focus()",
        text,
    )
    browser.press(Keys.ENTER)
    asked = "return document.querySelector('#messages > li:nth-last-child(2) .plain')?.textContent"
    browser.until(lambda: browser.script(asked) == text, f"nothing answered {text!r}")


def last(browser: Browser, selector: str = "") -> str:
    """What the last message says, or a part of it."""
    return browser.text(f"#messages > li:last-child {selector}")


def press(browser: Browser, words: str, within: str = "body") -> None:
    """Press a button by its words, once it is there."""
    found = (
        f"//*[@id='{within}']//button[normalize-space()='{words}']"
        if within != "body"
        else f"//button[.='{words}']"
    )
    browser.until(lambda: browser.driver.find_elements(By.XPATH, found), f"no button {words!r}")
    browser.driver.find_elements(By.XPATH, found)[-1].click()


def answered(browser: Browser, state: str = "complete") -> None:
    """Wait until the last message is an answer that has ended in a way."""
    browser.until(
        lambda: (
            browser.script(
                "const m = document.querySelector('#messages > li:last-child.assistant'); return m?.dataset.state"
            )
            == state
        ),
        f"the answer is not {state}",
    )


def test_conversation(resources: Resources, browser: Browser, tmp_path: Path) -> None:
    """Markdown is rendered safely, tool calls are shown, branches can be switched, conversations renamed."""
    isolated = assistant(resources, tmp_path / "project", LLM_EMBEDDED_SECONDS="0")
    with isolated.served(*COMMAND) as (address, _):
        browser.driver.get(f"{address}/demo/assistant")
        browser.sees("#status", "Ready")
        ask(browser, MARKDOWN)
        answered(browser)
        made: dict[str, Any] = browser.script(
            """
            const shown = document.querySelector('#messages > li:last-child');
            const tags = (selector) => [...shown.querySelectorAll(selector)].map((node) => node.textContent);
            return {
                strong: tags('strong'), em: tags('em'), heading: tags('h3'), code: tags('pre code'), cells: tags('td'),
                items: tags('ul > li').length, nested: tags('li ol > li'), loaded: tags('img, script, iframe, b'),
                links: [...shown.querySelectorAll('a')].map((link) => link.href),
            };
            """
        )
        assert made == {
            "strong": ["bold"],
            "em": ["slanted"],
            "heading": ["Cranes with code"],
            "code": ["<b>as it is</b>"],
            "cells": ["North", "free"],
            "items": 2,
            "nested": ["nested"],
            "loaded": [],
            "links": [
                "https://example.org/a_(b)",
                "https://example.org/bare",
                "https://example.org/p.png?secret",
            ],
        }
        assert "<script>alert(2)</script>" in last(browser)
        # The title is the first words of the question, found in the background.
        browser.sees("#list", "Look: # Cranes")
        tools_and_branches(browser)
        names(browser)
        assert browser.complaints() == []
        phone(browser)


def tools_and_branches(browser: Browser) -> None:
    """A tool is shown with its result; an edited question and a second answer stand beside the first."""
    stored = browser.driver.execute_async_script(
        "const done = arguments[0], headers = {'Content-Type': 'application/json'};"
        'fetch(\'/api/v1/notes\', {method: \'POST\', headers, body: \'{"title": "Harbour", "body": "Crane 7"}\'})'
        ".then((answer) => done(answer.status))"
    )
    assert stored == 201
    ask(browser, "Search my notes for harbour")
    browser.sees("#messages > li:last-child .tool[data-state=done] summary", "search_notes: done")
    answered(browser)
    browser.driver.find_elements(By.CSS_SELECTOR, ".tool summary")[-1].click()
    assert "Crane 7" in last(browser, ".tool pre:last-child")

    press(browser, "Edit", "messages")
    browser.until(lambda: browser.focused() == "question")
    ask(browser, "Count to 12")
    browser.until(lambda: "1 2 3 4 5 6 7 8 9 10 11 12" in last(browser))
    answered(browser)
    assert "2 of 2" in browser.text("#messages > li:nth-last-child(2) .versions")
    press(browser, "Answer again", "messages")
    browser.until(lambda: "2 of 2" in last(browser, ".versions"))
    answered(browser)
    browser.script("document.querySelector('#messages > li:nth-last-child(2) .versions button').click()")
    browser.until(
        lambda: "Crane 7" in browser.script("return document.querySelector('#messages').textContent")
    )
    assert "1 of 2" in browser.text("#messages > li:nth-last-child(2) .versions")


def names(browser: Browser) -> None:
    """A conversation is renamed and deleted in a dialog; another one begins beside it."""
    press(browser, "Rename")
    browser.until(lambda: browser.focused() == "dialog-input")
    browser.driver.find_element(By.ID, "dialog-input").clear()
    browser.write("#dialog-input", "Cranes & ships")
    browser.sees("#title", "Cranes & ships")
    browser.sees("#list", "Cranes & ships")
    press(browser, "New conversation")
    browser.until(lambda: browser.focused() == "question")
    press(browser, "Count to 30")
    browser.until(lambda: "29 30" in last(browser))
    browser.until(lambda: browser.script("return document.querySelectorAll('#list li').length") == 2)
    browser.sees("#title", "Count to 30")
    press(browser, "Delete")
    press(browser, "Delete", "dialog")
    browser.sees("#status", "Deleted")
    browser.until(lambda: browser.script("return document.querySelectorAll('#list li').length") == 1)
    press(browser, "Cranes & ships")
    browser.until(
        lambda: "Cranes with code" in browser.script("return document.querySelector('#messages').textContent")
    )


def phone(browser: Browser) -> None:
    """Everything is in reach on a phone, and of the keyboard."""
    browser.size(*PHONE)
    for selector in ("#question", "#send", "#menu", "#rename"):
        assert browser.fits(selector), selector
    heights = "return [...document.querySelectorAll('button')].map(b => b.offsetHeight).filter(h => h)"
    assert min(browser.script(heights)) >= 44, "a finger needs more"
    shown = "return document.querySelector('nav').offsetHeight"
    assert not browser.script(shown)
    press(browser, "Conversations")
    browser.until(lambda: browser.fits("#new"))
    press(browser, "Cranes & ships")
    browser.until(lambda: not browser.script(shown))
    browser.script("document.activeElement.blur(); document.body.focus()")
    browser.driver.refresh()
    browser.sees("#title", "Cranes & ships")
    browser.script("document.activeElement.blur()")
    browser.press(Keys.TAB)
    assert browser.focused() == "skip"
    browser.press(Keys.ENTER)
    browser.until(lambda: browser.focused() == "question")
    browser.write("#question", "By", Keys.SHIFT, Keys.ENTER, Keys.NULL, "keyboard")
    browser.until(lambda: "You said: By keyboard" in last(browser))
    assert browser.text("#messages > li:nth-last-child(2) .plain") == "By\nkeyboard"


def test_answer_outlives_page_and_server(resources: Resources, browser: Browser, tmp_path: Path) -> None:
    """An answer continues after a reload, is stopped by Escape, and shown as interrupted after a restart."""
    isolated = assistant(
        resources,
        tmp_path / "project",
        LLM_EMBEDDED_SECONDS="0.05",
        LLM_SHUTDOWN_SECONDS="0",
        LLM_ANSWER_TIMEOUT="3000",
    )
    port = free_port()
    with isolated.served(*COMMAND, port=port) as (address, server):
        browser.driver.get(f"{address}/demo/assistant")
        browser.sees("#status", "Ready")
        ask(browser, "Count to 9999")
        browser.until(lambda: "1 2 3 4 5 6" in last(browser))
        browser.driver.refresh()
        browser.until(lambda: "1 2 3 4 5 6 7 8 9" in last(browser))
        browser.sees("#status", "Answering")
        browser.press(Keys.ESCAPE)
        answered(browser, "stopped")
        assert "You stopped this answer." in last(browser)
        counted = last(browser, ".text").split()
        assert counted == [str(number + 1) for number in range(len(counted))]
        ask(browser, "Count to 9998")
        browser.until(lambda: "1 2 3 4" in last(browser))
        assert server.stop() in {0, 143}, server.log
    browser.sees("#status", "Connection lost")
    with isolated.served(*COMMAND, port=port):
        answered(browser, "interrupted")
        assert "before this answer was complete" in last(browser)
        assert browser.complaints() == []


def test_hostile_markdown_is_fast(resources: Resources, browser: Browser, tmp_path: Path) -> None:
    """No text of a question's length blocks the page for seconds; each stays readable."""
    isolated = assistant(resources, tmp_path / "project")
    with isolated.served(*COMMAND) as (address, _):
        browser.driver.get(f"{address}/demo/assistant/")
        browser.sees("#status", "Ready")
        took = browser.driver.execute_async_script(
            """
            const [texts, done] = arguments;
            import('/demo/assistant/markdown.js').then(({ render }) => done(texts.map((text) => {
                const began = performance.now();
                render(text);
                return (performance.now() - began) / 1000;
            })));
            """,
            HOSTILE,
        )
    assert max(took) < 5, took


def test_signing_in(resources: Resources, browser: Browser, tmp_path: Path) -> None:
    """If callers sign in, the page asks for an account, shows errors, explains how to get one; no URL has a token."""
    isolated = assistant(resources, tmp_path / "project", auth=True, LLM_EMBEDDED_SECONDS="0")
    isolated.must("run", "python", "-m", "app", "auth", "create-admin", EMAIL, "--password", PASSWORD)
    with isolated.served(*COMMAND) as (address, _):
        browser.driver.get(f"{address}/demo/assistant")
        browser.sees("#sign-in", "create-admin")
        browser.write("[name=username]", EMAIL, Keys.TAB, "something else")
        browser.until(lambda: browser.text("#sign-in-error"))
        browser.write("[name=password]", PASSWORD)
        browser.sees("#status", "Ready")
        ask(browser, "Ahoy")
        browser.until(lambda: "You said: Ahoy" in last(browser))
        asked = browser.script("return performance.getEntriesByType('resource').map(entry => entry.name)")
        assert not [url for url in asked if "token=" in url]
        press(browser, "Sign out")
        browser.sees("#status", "Sign in to ask")
