"""Cached statistics are never stale."""

from datetime import UTC, datetime

from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.db.database import Database
from keel.services import services_of
from tests.examples.notes.api import NOTES, create
from tests.examples.notes.statistics.data import Sample, add, read


async def test_results_are_cached(app: FastAPI, client: AsyncClient, database: Database) -> None:
    """A repeated query is served from the cache, a different one is not."""
    await add(client, database, [Sample(datetime(2026, 5, 3, tzinfo=UTC))])
    counters = services_of(app).cache.counters
    first = await read(client, "/timeline")
    hits, misses = counters.hits, counters.misses

    assert await read(client, "/timeline") == first
    await read(client, "/timeline", unit="week")

    assert (counters.hits - hits, counters.misses - misses) == (1, 1)


async def test_changes_invalidate_the_cache(client: AsyncClient) -> None:
    """Created, changed, retagged and deleted notes are reflected in the next response."""
    note = await create(client, body="1", tags=["a"])
    assert (await read(client))["lengths"]["maximum"] == 1

    await create(client, body="12", tags=["a"])
    assert (await read(client))["notes"] == 2
    await client.patch(f"{NOTES}/{note['id']}", json={"body": "123"})
    assert (await read(client))["lengths"]["maximum"] == 3
    await client.patch(f"{NOTES}/{note['id']}", json={"tags": ["b"]})
    assert [use["tag"] for use in (await read(client))["tags"]] == ["a", "b"]
    await client.delete(f"{NOTES}/{note['id']}")
    assert (await read(client))["notes"] == 1
    assert sum(row["notes"] for row in await read(client, "/timeline")) == 1
