"""Books over HTTP."""

from typing import Any
from uuid import uuid4

import pytest
from httpx2 import AsyncClient

BOOKS = "/api/v1/books"
EMMA = {"title": "Emma", "author": "Jane Austen", "isbn": "9780141439587", "price": "7.99", "published": "1815-12-23"}


async def create(client: AsyncClient, number: int, **fields: Any) -> dict[str, Any]:
    """Create a book with an ISBN of its own; return it."""
    answer = await client.post(BOOKS, json={**EMMA, "isbn": f"9780000000{number:03}", **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_create_and_read(client: AsyncClient) -> None:
    """A new book is at its address."""
    answer = await client.post(BOOKS, json=EMMA)

    assert answer.status_code == 201
    assert answer.json() == {**EMMA, "id": answer.json()["id"], "status": "unread"}
    assert (await client.get(answer.headers["Location"])).json() == answer.json()


async def test_update_and_delete(client: AsyncClient) -> None:
    """A change leaves the rest; a deleted book is gone."""
    book = await create(client, 1)
    url = f"{BOOKS}/{book['id']}"

    changed = await client.patch(url, json={"status": "reading", "published": None})

    assert changed.json() == {**book, "status": "reading", "published": None}
    assert (await client.get(url)).json() == changed.json()
    assert (await client.delete(url)).status_code == 204
    assert (await client.get(url)).json()["type"] == "urn:problem:book-not-found"


async def test_unknown_book(client: AsyncClient) -> None:
    """Each operation answers 404."""
    url = f"{BOOKS}/{uuid4()}"

    answers = [await client.get(url), await client.patch(url, json={}), await client.delete(url)]

    assert [answer.status_code for answer in answers] == [404, 404, 404]


async def test_isbn_is_unique(client: AsyncClient) -> None:
    """The second book with an ISBN is a conflict, by creation and by change."""
    first, second = await create(client, 1), await create(client, 2)

    answers = [
        await client.post(BOOKS, json={**EMMA, "isbn": first["isbn"]}),
        await client.patch(f"{BOOKS}/{second['id']}", json={"isbn": first["isbn"]}),
    ]

    assert [answer.status_code for answer in answers] == [409, 409]
    assert answers[0].json()["type"] == "urn:problem:isbn-taken"


@pytest.mark.parametrize("field", [{"isbn": "12"}, {"price": "-1"}, {"price": "1.999"}, {"status": "lost"}, {"x": 1}])
async def test_wrong_book(client: AsyncClient, field: dict[str, Any]) -> None:
    """What is no book is refused."""
    assert (await client.post(BOOKS, json={**EMMA, **field})).status_code == 422


SORTED = {
    "title": [3, 2, 1, 0, 4],
    "-title": [4, 0, 1, 2, 3],
    "price": [1, 3, 2, 0, 4],
    "-price": [4, 0, 2, 3, 1],
    "published": [2, 0, 4, 1, 3],
    "-published": [4, 0, 2, 3, 1],
}
"""Orders to the numbers of books; books without a date come last."""


@pytest.mark.parametrize("sort", SORTED)
async def test_pages(client: AsyncClient, sort: str) -> None:
    """Following the links shows every book once, in order, also where values are equal or missing."""
    rows = [("D", "10.00", "1900-01-01"), ("C", "0.10", None), ("B", "9.99", "1815-12-23"), ("A", "9.90", None)]
    rows.append(("E", "100.00", "1900-01-01"))
    titles = [row[0] for row in rows]
    for number, (title, price, published) in enumerate(rows):
        await create(client, number, title=title, price=price, published=published)

    seen, url = [], f"{BOOKS}?sort={sort}&limit=1"
    while url:
        answer = await client.get(url)
        seen += [titles.index(book["title"]) for book in answer.json()["items"]]
        url = answer.links.get("next", {}).get("url")

    assert seen == SORTED[sort]


async def test_filters(client: AsyncClient) -> None:
    """Filters narrow the list."""
    await create(client, 1, title="1", author="A")
    await create(client, 2, title="2", author="A", status="read")
    await create(client, 3, title="3", author="B", status="read")

    async def titles(**query: str) -> list[str]:
        return [book["title"] for book in (await client.get(BOOKS, params=query)).json()["items"]]

    assert await titles(author="A") == ["1", "2"]
    assert await titles(status="read") == ["2", "3"]
    assert await titles(author="A", status="read") == ["2"]
