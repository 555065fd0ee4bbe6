"""The documentation's configurator: its figures match what its command renders."""

from __future__ import annotations

import http.server
import json
import shlex
import shutil
import subprocess
import sys
import threading
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from selenium.webdriver.support.ui import WebDriverWait

from tests.machinery import configurator
from tests.machinery.browser import browsing
from tests.machinery.combinations import cover, extremes
from tests.machinery.rendering import ROOT, render

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from selenium import webdriver

    from tests.machinery.questions import Questions

SECONDS = 60
LISTS = ("services", "settings", "dependencies")
#: What the page shows: the command, the tree, the figures, then the lists.
SHOWN = """
const paths = (list, place) => [...list.children].flatMap((item) => {
  const folder = item.querySelector(":scope > details");
  const name = (folder?.querySelector("summary") ?? item).firstChild.textContent;
  return folder ? paths(folder.querySelector("ul"), place + name) : [place + name];
});
const names = (list) => [...list.children].map((item) => item.innerText);
return {
  command: document.querySelector(".command code").textContent,
  files: paths(document.querySelector(".tree"), ""),
  figures: document.querySelector(".figures").textContent,
  lists: [...document.querySelectorAll(".result > details")].map((each) => each.querySelectorAll("li").length),
};
"""


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    """What the page knows."""
    return configurator.data()


def promised(data: Mapping[str, Any], answers: Mapping[str, Any]) -> dict[str, Any]:
    """What a project is to have."""
    there = {
        name: [entry for entry, when in data[name] if configurator.evaluate(when, answers)] for name in LISTS
    }
    files = {
        path: lines if isinstance(lines, int) else configurator.evaluate(lines, answers)
        for path, when, lines in data["files"]
        if configurator.evaluate(when, answers)
    }
    return {"files": files, **there}


def test_figures(data: dict[str, Any], questions: Questions, template: Path, tmp_path: Path) -> None:
    """Files, lines, containers, settings and dependencies match a copy, for any two answers."""
    for number, combination in enumerate([*extremes(questions), *cover(questions, 2)]):
        project = render(template, tmp_path / str(number), combination.answers)
        expected = promised(data, combination.answers)
        found = {
            path.relative_to(project).as_posix(): path.read_bytes().count(b"\n")
            for path in project.rglob("*")
            if path.is_file()
        }
        found[".copier-answers.yml"] = 0
        assert found == expected["files"], combination.id
        for name, (seam, of) in configurator.LISTED.items():
            names = of((project / seam.removesuffix(".jinja")).read_text(encoding="utf-8"))
            assert sorted(names) == sorted(expected[name]), f"{combination.id}: {name}"


@pytest.fixture
def page(data: dict[str, Any], tmp_path: Path) -> Iterator[str]:
    """The page, served without the site around it."""
    place = tmp_path / "page"
    shutil.copytree(ROOT / "docs/configurator", place)
    (place / "data.json").write_text(json.dumps(data), encoding="utf-8")
    (place / "index.html").write_text(
        '<!doctype html><link rel="icon" href="data:,"><link rel="stylesheet" href="configurator.css">'
        '<div id="choices" data-source="data.json"></div><script src="configurator.js"></script>',
        encoding="utf-8",
    )
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(place))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """A headless Chromium; without one, or its driver, the test is skipped."""
    with browsing(tmp_path) as browser:
        yield browser.driver


def test_page(
    data: dict[str, Any],
    questions: Questions,
    template: Path,
    tmp_path: Path,
    page: str,
    browser: webdriver.Chrome,
) -> None:
    """The shown command renders the shown tree; a link restores the same choice."""
    for number, combination in enumerate([*extremes(questions), *cover(questions, 2)]):
        told = {**combination.answers, "source": str(template), "preset": "realtime", "name": "It's Ours"}
        told = {
            name: str(value).lower() if isinstance(value, bool) else value for name, value in told.items()
        }
        browser.get("about:blank")
        browser.get(f"{page}#{urlencode(told)}")
        WebDriverWait(browser, SECONDS, 0.05).until(
            lambda driver: driver.execute_script("return document.querySelector('.figures')")
        )
        shown = browser.execute_script(SHOWN)
        expected = promised(data, combination.answers)
        assert sorted(shown["files"]) == sorted(expected["files"]), combination.id
        assert shown["figures"].startswith(f"{len(expected['files'])} files, "), combination.id
        assert shown["lists"] == [len(expected[name]) for name in ("services", "dependencies", "settings")]
        words = shlex.split(shown["command"].replace("\\\n", " "))
        assert words[:4] == ["uvx", "copier", "copy", "--defaults"]
        assert words[-2:] == [str(template), "it-s-ours"]
        data_of = dict(word.split("=", 1) for flag, word in pairwise(words) if flag == "--data")
        assert data_of.pop("project_name") == "It's Ours"
        if number in {0, len(extremes(questions)) - 1}:
            place = tmp_path / str(number)
            place.mkdir()
            subprocess.run(
                [sys.executable, "-m", "copier", *words[2:]], cwd=place, check=True, capture_output=True
            )
            project = place / "it-s-ours"
        else:
            project = render(
                template, tmp_path / str(number), {name: _answer(value) for name, value in data_of.items()}
            )
        found = [path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()]
        assert sorted(found) == sorted(shown["files"]), combination.id
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def _answer(text: str) -> Any:  # noqa: ANN401 - as Copier reads it
    return {"true": True, "false": False}.get(text, text)
