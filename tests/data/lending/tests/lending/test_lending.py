"""Loans: one package of the owner's builds on another."""

from httpx2 import AsyncClient

from tests.books.test_router import create

LOANS = "/api/v1/loans"


async def test_loans_are_joined_to_books(client: AsyncClient) -> None:
    """Pages of a join are sorted by columns of both tables."""
    for number, (title, price) in enumerate([("B", "9.00"), ("A", "10.00"), ("C", "9.00")], 1):
        book = await create(client, number, title=title, price=price)
        assert (await client.post(LOANS, json={"book_id": book["id"], "borrower": "Ada"})).status_code == 204

    async def titles(sort: str) -> list[str]:
        found, url = [], f"{LOANS}?sort={sort}&limit=1"
        while url:
            answer = await client.get(url)
            found += [loan["title"] for loan in answer.json()["items"]]
            url = answer.links.get("next", {}).get("url")
        return found

    assert await titles("title") == ["A", "B", "C"]
    assert await titles("-price") == ["A", "C", "B"]
