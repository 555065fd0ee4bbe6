"""Books over HTTP."""

from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.books import models
from keel.caller import Caller
from keel.identity import current_caller

BOOKS = "/api/v1/books"


def body(number: int) -> dict[str, Any]:
    """Return a valid body; a higher number sorts later in every order."""
    return {
        "title": f"Title {number}",
        "author": f"Author {number}",
        "isbn": f"Isbn {number}",
        "price": f"{number}.50",
        "published": f"2026-01-0{number}",
        "status": [*models.BookStatus][number % 3],
    }


async def create(client: AsyncClient, number: int, **fields: Any) -> dict[str, Any]:
    """Create a book; return it as JSON."""
    answer = await client.post(BOOKS, json={**body(number), **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_create_and_read(client: AsyncClient) -> None:
    """A new book can be read at its `Location`."""
    sent = body(1)

    answer = await client.post(BOOKS, json=sent)

    assert answer.status_code == 201
    assert answer.json() == {**sent, "id": answer.json()["id"]}
    assert (await client.get(answer.headers["Location"])).json() == answer.json()


async def test_defaults(client: AsyncClient) -> None:
    """Omitted fields get their defaults."""
    defaults = {"published": None, "status": "unread"}
    sent = {name: value for name, value in body(1).items() if name not in defaults}

    answer = await client.post(BOOKS, json=sent)

    assert answer.json().items() >= {**sent, **defaults}.items()


async def test_update_and_delete(client: AsyncClient) -> None:
    """An update changes only the fields sent; a deleted book is not found."""
    book = await create(client, 1)
    address = f"{BOOKS}/{book['id']}"
    changes = {"title": "Title 2", "published": None}

    changed = await client.patch(address, json=changes)

    assert changed.json() == {**book, **changes}
    assert (await client.get(address)).json() == changed.json()
    assert (await client.delete(address)).status_code == 204
    assert (await client.get(address)).json()["type"] == "urn:problem:book-not-found"


async def test_unknown_book(client: AsyncClient) -> None:
    """Every operation responds with 404."""
    address = f"{BOOKS}/{uuid4()}"

    answers = [await client.get(address), await client.patch(address, json={}), await client.delete(address)]

    assert [answer.status_code for answer in answers] == [404, 404, 404]


async def test_isbn_is_unique(client: AsyncClient) -> None:
    """A second book with the same isbn is a conflict, on creation and on update."""
    first, second = await create(client, 1), await create(client, 2)
    same = {"isbn": first["isbn"]}

    answers = [
        await client.post(BOOKS, json={**body(3), **same}),
        await client.patch(f"{BOOKS}/{second['id']}", json=same),
    ]

    assert [answer.status_code for answer in answers] == [409, 409]
    assert answers[0].json()["type"] == "urn:problem:book-exists"


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": ""},
        {"author": ""},
        {"isbn": ""},
        {"price": "1.999"},
        {"published": "2026-13-01"},
        {"status": "no such value"},
        {"no_such_field": 1},
    ],
)
async def test_invalid_book(client: AsyncClient, wrong: dict[str, Any]) -> None:
    """Invalid fields are rejected."""
    assert (await client.post(BOOKS, json={**body(1), **wrong})).status_code == 422


@pytest.mark.parametrize("sort", ["title", "author", "price", "published"])
async def test_pages(client: AsyncClient, sort: str) -> None:
    """Following the links shows every book once, in order and in reverse."""
    ids = [(await create(client, number))["id"] for number in (2, 3, 1)]
    ids = [ids[2], *ids[:2]]

    async def listed(order: str) -> list[str]:
        seen, page = [], f"{BOOKS}?sort={order}&limit=1"
        while page:
            answer = await client.get(page)
            seen += [item["id"] for item in answer.json()["items"]]
            page = answer.links.get("next", {}).get("url")
        return seen

    assert await listed(sort) == ids
    assert await listed(f"-{sort}") == ids[::-1]


@pytest.mark.parametrize("name", ["author", "status"])
async def test_filters(client: AsyncClient, name: str) -> None:
    """A filter returns only the rows that match."""
    first, _ = await create(client, 1), await create(client, 2)

    answer = await client.get(BOOKS, params={name: first[name]})

    assert [item["id"] for item in answer.json()["items"]] == [first["id"]]


async def test_books_of_others(app: FastAPI, client: AsyncClient) -> None:
    """Other callers can't see or change them."""
    address = f"{BOOKS}/{(await create(client, 1))['id']}"
    app.dependency_overrides[current_caller] = lambda: Caller("stranger")

    answers = [await client.get(address), await client.patch(address, json={}), await client.delete(address)]

    assert {answer.status_code for answer in answers} == {404}
    assert (await client.get(BOOKS)).json()["items"] == []
