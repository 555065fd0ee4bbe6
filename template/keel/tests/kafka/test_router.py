"""`/api/v1/events`: administrators see the outbox; others do not."""

from typing import get_args

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.caller import Caller
from keel.identity import CurrentAdmin
from keel.tests.kafka.support import numbered, record, recorded

EVENTS = "/api/v1/events"


@pytest.fixture
def admin(app: FastAPI, anonymous: AsyncClient) -> AsyncClient:
    """Return an administrator's client."""
    app.dependency_overrides[get_args(CurrentAdmin)[1].dependency] = lambda: Caller("root")
    return anonymous


async def test_only_administrators_see_events(client: AsyncClient) -> None:
    """Neither signed-in callers nor guests are administrators."""
    answer = await client.get(EVENTS)
    assert answer.status_code == 403


async def test_lists_events(app: FastAPI, admin: AsyncClient) -> None:
    """Latest first, without their data."""
    ids = await record(app, ("ada", 1), ("eve", 2))
    answer = await admin.get(EVENTS)
    assert answer.status_code == 200
    items = answer.json()["items"]
    assert [item["id"] for item in items] == [str(id_) for id_ in reversed(ids)]
    assert [item["key"] for item in items] == ["eve", "ada"]
    assert {item["type"] for item in items} == {"widgets.made"}
    assert {item["aggregate"] for item in items} == {"widgets"}
    assert {item["sent_at"] for item in items} == {None}
    assert items[0].keys() == {"id", "type", "aggregate", "subject", "key", "created_at", "sent_at"}


async def test_pages(app: FastAPI, admin: AsyncClient) -> None:
    """`next` and `Link` lead through the pages; each event is on exactly one."""
    await record(app, *numbered("ab", 3))
    found, cursor = [], None
    while True:
        page = await admin.get(EVENTS, params={"limit": 4, **({"cursor": cursor} if cursor else {})})
        found += [item["id"] for item in page.json()["items"]]
        assert 'rel="first"' in page.headers["Link"]
        cursor = page.json()["next"]
        if cursor is None:
            break
    assert found == [str(row.id) for row in reversed(await recorded(app))]


async def test_filter(app: FastAPI, admin: AsyncClient) -> None:
    """Only waiting events, or only sent ones."""
    await record(app, ("ada", 1))
    assert len((await admin.get(EVENTS, params={"waiting": True})).json()["items"]) == 1
    assert (await admin.get(EVENTS, params={"waiting": False})).json()["items"] == []


@pytest.mark.parametrize(("query", "status"), [("cursor=x", 400), ("limit=0", 422), ("other=1", 422)])
async def test_invalid_queries(admin: AsyncClient, query: str, status: int) -> None:
    """Refused as in any list."""
    assert (await admin.get(f"{EVENTS}?{query}")).status_code == status
