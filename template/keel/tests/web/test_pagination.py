"""Cursors, links and page queries, without a list."""

import math
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest
from fastapi import Request, Response
from pydantic import TypeAdapter

from keel.web.pagination import Cursor, InvalidCursor, Page, PageQuery, decode, decode_cursor, encode, get_links

ID = UUID(int=7)

VALUES = {
    "text": "a\u00fc?~",
    "integer": -(2**63),
    "float": 0.1 + 0.2,
    "endless": math.inf,
    "decimal": Decimal("0.10"),
    "moment": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    "duration": timedelta(days=1, microseconds=1),
    "id": ID,
    "missing": None,
}


@pytest.mark.parametrize("name", VALUES)
def test_values_survive_a_round_trip(name: str) -> None:
    """For every type; the cursor is URL-safe."""
    value: Any = VALUES[name]
    cursor = encode("-name", (value, ID))

    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert decode(cursor, "-name", (TypeAdapter(type(value)), TypeAdapter(UUID))) == [value, ID]


@pytest.mark.parametrize("text", ["", "a", "ab", "abc", "abcd"])
def test_any_length(text: str) -> None:
    """Padding is stripped and restored."""
    cursor = Cursor(text, ID)

    assert "=" not in cursor.encode("name")
    assert decode_cursor(cursor.encode("name"), "name", TypeAdapter(str)) == cursor


def made(content: Any) -> str:
    """Return content encoded like a cursor."""
    return urlsafe_b64encode(orjson.dumps(content)).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        *(
            "",
            "a",
            "!",
            "\u00fc",
            made(None),
            made(1),
            made([]),
            made({"name": 1}),
            made(["name"]),
            made(["name", "a"]),
        ),
        *(made(["name", "a", "no id"]), made(["name", 1, str(ID)]), made(["name", "a", str(ID), 1])),
    ],
)
def test_invalid_cursors(cursor: str) -> None:
    """Refused with 400."""
    with pytest.raises(InvalidCursor, match="is not from this list") as refused:
        decode_cursor(cursor, "name", TypeAdapter(str))

    assert (refused.value.status, refused.value.type) == (400, "urn:problem:invalid-cursor")


def test_cursor_of_another_order() -> None:
    """A position in one order is meaningless in another."""
    with pytest.raises(InvalidCursor, match="another order"):
        decode(encode("name", ("a",)), "-name", [TypeAdapter(str)])


LINKS: dict[tuple[str, str | None], str] = {
    ("", None): '</notes>; rel="first"',
    ("cursor=x", None): '</notes>; rel="first"',
    ("", "y"): '</notes>; rel="first", </notes?cursor=y>; rel="next"',
    ("tag=a&cursor=x&tag=b+c", "y"): (
        '</notes?tag=a&tag=b+c>; rel="first", </notes?tag=a&tag=b+c&cursor=y>; rel="next"'
    ),
}


@pytest.mark.parametrize(("query", "following"), LINKS)
async def test_links(query: str, following: str | None) -> None:
    """Links keep the filters; the response is marked private."""
    scope = {"type": "http", "path": "/notes", "query_string": query.encode(), "headers": []}
    response, page = Response(), Page[int](items=[1], next=following)

    assert (await get_links(Request(scope), response)).add(page) is page
    assert response.headers["Link"] == LINKS[query, following]
    assert response.headers["Cache-Control"] == "private, no-cache"


def test_queries() -> None:
    """A page has 1 to 100 items, 20 by default; unknown parameters are refused."""
    query = TypeAdapter(PageQuery)

    assert query.validate_python({"sort": "name"}) == PageQuery(sort="name", limit=20, cursor=None)
    for limit, cursor in ((1, "x" * 4000), (100, None)):
        assert query.validate_python({"sort": "name", "limit": limit, "cursor": cursor}).limit == limit
    for wrong in ({"limit": 0}, {"limit": 101}, {"cursor": "x" * 4001}, {"cursor": "\x00"}, {"page": 2}):
        with pytest.raises(ValueError, match="1 validation error"):
            query.validate_python({"sort": "name"} | wrong)


def test_queries_are_immutable() -> None:
    """A validated query cannot be changed."""
    with pytest.raises(ValueError, match="frozen"):
        setattr(PageQuery(sort="name"), "limit", 1000)  # noqa: B010 - a type checker refuses the other form


def test_page_names() -> None:
    """Generated clients use these names."""
    assert [Page[each].__name__ for each in (int, UUID)] == ["intPage", "UUIDPage"]
    assert Page.model_parametrized_name((int, "without a name")) == "intAnyPage"
