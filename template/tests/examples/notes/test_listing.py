"""Lists of notes: filters, search, order, pages."""

import re
from datetime import UTC, datetime
from typing import Any

from httpx2 import AsyncClient

from keel.web.pagination import Cursor
from tests.examples.notes.api import NOTES, create, titles


async def test_empty_list(client: AsyncClient) -> None:
    """Without notes the list is empty and has no next page."""
    answer = await client.get(NOTES)

    assert answer.json() == {"items": [], "next": None}
    assert answer.headers["Link"] == f'<{NOTES}>; rel="first"'


ORDERS = {
    "title": ["a", "b", "c"],
    "-title": ["c", "b", "a"],
    "created_at": ["b", "a", "c"],
    "-created_at": ["c", "a", "b"],
    "updated_at": ["a", "c", "b"],
    "-updated_at": ["b", "c", "a"],
}


async def test_order(client: AsyncClient) -> None:
    """Each order works in both directions; by default the newest note comes first."""
    notes = {title: await create(client, title=title) for title in "bac"}
    await client.patch(f"{NOTES}/{notes['b']['id']}", json={"body": "changed last"})

    assert {sort: await titles(client, sort=sort) for sort in ORDERS} == ORDERS
    assert await titles(client) == ORDERS["-created_at"]


async def test_pages_are_complete(client: AsyncClient) -> None:
    """Following `next` shows every note once, even if many have the same title."""
    expected = [(await create(client, title=title))["id"] for title in "aabbc"]

    for sort in ["title", "-created_at", "updated_at"]:
        seen, cursor = [], None
        while True:
            query = {"sort": sort, "limit": 2, **({"cursor": cursor} if cursor else {})}
            page = (await client.get(NOTES, params=query)).json()
            seen += [note["id"] for note in page["items"]]
            if (cursor := page["next"]) is None:
                break

        assert sorted(seen) == sorted(expected), sort


async def test_link_header_leads_to_the_next_page(client: AsyncClient) -> None:
    """The link keeps filters and limit."""
    for title in "abc":
        await create(client, title=title, tags=["t"])

    first = await client.get(NOTES, params={"tag": "t", "limit": 2})
    link = re.search(r'<([^>]*)>; rel="next"', first.headers["Link"])
    assert link
    second = await client.get(link[1])

    assert [note["title"] for note in second.json()["items"]] == ["a"]
    assert 'rel="next"' not in second.headers["Link"]


async def test_new_notes_do_not_shift_pages(client: AsyncClient) -> None:
    """A page begins after the last note seen, however many are added before it."""
    for title in "abc":
        await create(client, title=title)
    first = (await client.get(NOTES, params={"limit": 2})).json()
    await create(client, title="d")

    assert await titles(client, limit=2, cursor=first["next"]) == ["a"]


async def test_tag_filter(client: AsyncClient) -> None:
    """A note must have all requested tags."""
    await create(client, title="both", tags=["red", "round"])
    await create(client, title="one", tags=["red"])

    assert await titles(client, tag="red") == ["one", "both"]
    assert await titles(client, tag=["red", "round"]) == ["both"]
    assert await titles(client, tag="square") == []


FOUND = {
    "CAFÉ": ["Café Ünal"],
    "cafe unal": ["Café Ünal"],
    "strasse": ["Straße"],
    "100%": ["100% sure"],
    "a_b": ["a_b"],
    "back\\slash": ["back\\slash"],
    "sure cafe": [],
    "  ": ["back\\slash", "a_b", "axb", "100% sure", "1000 times", "Straße", "Café Ünal"],
}


async def test_search(client: AsyncClient) -> None:
    """Search ignores case and accents, requires every word, and treats wildcards literally."""
    for title in ["Café Ünal", "Straße", "1000 times", "100% sure", "axb", "a_b", "back\\slash"]:
        await create(client, title=title, body="")

    assert {q: await titles(client, q=q) for q in FOUND} == FOUND


async def test_search_follows_changes(client: AsyncClient) -> None:
    """A changed note is found only by its new words."""
    note = await create(client, title="before", body="old")
    await client.patch(f"{NOTES}/{note['id']}", json={"body": "new"})

    assert await titles(client, q="before new") == ["before"]
    assert await titles(client, q="old") == []


async def test_time_filter(client: AsyncClient) -> None:
    """The start is included, the end is not."""
    first, second = await create(client, title="1"), await create(client, title="2")

    assert await titles(client, created_from=second["created_at"]) == ["2"]
    assert await titles(client, created_before=second["created_at"]) == ["1"]
    assert await titles(client, created_from=first["created_at"], sort="created_at") == ["1", "2"]


WRONG_QUERIES: list[dict[str, Any]] = [
    {"limit": 0},
    {"limit": 101},
    {"limit": "many"},
    {"sort": "owner_id"},
    {"q": "a\x00b"},
    {"tag": "a\x00b"},
    {"created_from": "2026-01-01T00:00:00"},
    {"created_from": "0001-01-01T00:00:00+05:00"},
    {"page": 2},
]


async def test_invalid_query(client: AsyncClient) -> None:
    """Invalid and unknown parameters are refused."""
    for query in WRONG_QUERIES:
        assert (await client.get(NOTES, params=query)).status_code == 422, query


WRONG_CURSORS = [
    "",
    "nonsense",
    "ä",
    "bnVsbA",
    Cursor("text", "no id").encode("-created_at"),  # ty: ignore[invalid-argument-type]
    Cursor("0001-01-01T00:00:00+05:00", "01a20295-eed5-778a-839f-a73f0a6eedde").encode("-created_at"),  # ty: ignore[invalid-argument-type]
    Cursor(datetime(2026, 1, 1, tzinfo=UTC), "01a20295-eed5-778a-839f-a73f0a6eedde").encode("title"),  # ty: ignore[invalid-argument-type]
]


async def test_invalid_cursor(client: AsyncClient) -> None:
    """A cursor that this list did not issue is refused, whatever it contains."""
    for cursor in WRONG_CURSORS:
        answer = await client.get(NOTES, params={"cursor": cursor})

        assert answer.status_code == 400, cursor
        assert answer.json()["type"] == "urn:problem:invalid-cursor"
