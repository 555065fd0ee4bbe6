"""Requests that are small in bytes but expensive to parse, validate and answer."""

import json
import re
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.application import new_app
from keel.testing.support import running
from keel.tests.widgets.api import WIDGETS, create
from keel.web.body_limits import MAX_DEPTH, fault_of
from keel.web.errors import MAX_ERRORS

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"[" + b"1," * 1000 + b"1]", "members and elements"),
        (b"{" + b",".join(b'"k%d":0' % i for i in range(1001)) + b"}", "members and elements"),
        (b"[" + b"[]," * 1000 + b"[]]", "members and elements"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested arrays"),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), "nested arrays"),
        (b'["\\\\",' + b"1," * 1000 + b"1]", "members and elements"),
        ("[1,2]".encode("utf-16-le"), "UTF-8"),
    ],
    ids=["wide list", "wide object", "lists", "deep list", "deep object", "after an escaped backslash", "UTF-16"],
)
def test_too_much_structure(body: bytes, fault: str) -> None:
    """Width and depth are limited at every level."""
    assert fault in (fault_of(body, 1000) or "")


@pytest.mark.parametrize(
    "value",
    [
        "commas, " * 5000,
        ["a, b" * 500] * 400,
        {'"quoted", "names"' * 5: ['\\",' * 500] * 10},
        [[[]]] * 300,
        ["[{" * 500, "\\" * 999, '\\"' * 500],
    ],
)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_text_is_no_structure(value: Any, separators: tuple[str, str]) -> None:
    """The contents of strings do not count, however they are escaped."""
    assert fault_of(json.dumps(value, separators=separators).encode(), 1000) is None


@pytest.mark.parametrize("depth", [70, 100_000])
async def test_deep_body(client: AsyncClient, depth: int) -> None:
    """It is refused before it is parsed."""
    answer = await client.post(WIDGETS, content=b"[" * depth, headers=JSON)

    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")
    assert re.search("nested arrays|members and elements", answer.json()["detail"])


async def test_wide_body(client: AsyncClient) -> None:
    """An object with a hundred thousand unknown members is refused with a short response."""
    answer = await client.post(WIDGETS, json={f"k{i}": 0 for i in range(90_000)})

    assert answer.status_code == 422
    assert len(answer.content) < 500


async def test_wide_query(client: AsyncClient) -> None:
    """A query with many parameters is refused, too."""
    answer = await client.get(f"{WIDGETS}?{'&'.join(f'k{i}=' for i in range(5000))}")

    assert answer.status_code == 422
    assert len(answer.content) < 500


async def test_many_errors(client: AsyncClient) -> None:
    """Only the first errors are listed, with the total; long names are truncated."""
    document = (await client.post(WIDGETS, json={"title": "t", **{"k" * 5000 + str(i): 0 for i in range(99)}})).json()

    assert (len(document["errors"]), document["error_count"]) == (MAX_ERRORS, 99)
    assert all(len(part) <= 100 for error in document["errors"] for part in error["location"])
    document = (await client.post(WIDGETS, json={"title": 1})).json()
    assert (len(document["errors"]), document["error_count"]) == (1, 1)


async def test_long_text_with_commas(client: AsyncClient) -> None:
    """It is accepted."""
    text = 'one, two, "three", [four], {five}, \\' * 2000

    assert (await create(client, body=text))["body"] == text


@pytest.fixture
def own(environment: None, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """Return an application with its own limit."""
    monkeypatch.setenv("MAX_BODY_ITEMS", "100000")
    app = new_app()

    @app.post("/sum")
    async def add(numbers: list[int]) -> int:
        return sum(numbers)

    return app


async def test_limit_of_a_project(own: FastAPI) -> None:
    """A project may raise the limit."""
    async with running(own, signed_in=False) as client:
        assert (await client.post("/sum", json=[1] * 50_000)).json() == 50_000
        assert (await client.post("/sum", json=[1] * 100_001)).status_code == 422
