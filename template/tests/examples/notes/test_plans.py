"""Indexes serve every query on notes: no request scans all notes, and no list is sorted."""

from typing import Any

from httpx2 import AsyncClient

from app.examples.notes.schemas import NoteOrder
from keel.testing.plans import WatchQueries
from tests.examples.notes.api import NOTES, create

FILTERS: list[dict[str, Any]] = [{}, {"tag": ["red", "round"]}, {"q": "harbour"}]
SPAN = {"created_from": "2026-01-01T00:00:00Z", "created_before": "9999-01-01T00:00:00Z"}
QUERIES = [
    *({"sort": order, **each} for order in NoteOrder for each in FILTERS),
    # By another order, the database may rather sort the notes of a span than look for it in all.
    *({"sort": order, **SPAN} for order in (NoteOrder.CREATED, NoteOrder.CREATED_LAST)),
]


async def test_lists_have_indexes(client: AsyncClient, watch_queries: WatchQueries) -> None:
    """Each order, with each filter, on the first page and the next."""
    for title in "ab":
        await create(client, title=title, body="harbour", tags=["red", "round"])

    async with watch_queries() as faults:
        for query in QUERIES:
            page = (await client.get(NOTES, params={**query, "limit": 1})).json()
            assert (await client.get(NOTES, params={**query, "cursor": page["next"]})).status_code == 200

    assert faults == []


async def test_one_note_has_an_index(client: AsyncClient, watch_queries: WatchQueries) -> None:
    """A note is found by its id."""
    note = await create(client)

    async with watch_queries() as faults:
        assert (await client.get(f"{NOTES}/{note['id']}")).status_code == 200

    assert faults == []
