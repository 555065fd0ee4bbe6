"""Indexes serve every query, at a hundred thousand notes."""

import re
from datetime import UTC, datetime, timedelta

from httpx2 import AsyncClient
from sqlalchemy import String, Uuid, cast, func, insert, literal, select, text

from app.examples.notes.models import Note
from keel.db.database import Database
from keel.testing.plans import WatchQueries
from tests.examples.notes.api import create
from tests.examples.notes.statistics.data import read

NOTES = 100_000
OWNERS = 1000
START = datetime(2026, 1, 1, tzinfo=UTC)

WHOLE_TABLE = re.compile(r"(SCAN|Seq Scan on) (notes|note_tags|tags)\b")
"""A step that reads a whole table. What it has found by indexes, an aggregate may sort."""


async def _fill(database: Database) -> None:
    """Add notes of a thousand other owners, by one statement."""
    numbers = select(literal(1).label("n")).cte("numbers", recursive=True)
    numbers = numbers.union_all(select(numbers.c.n + 1).where(numbers.c.n < NOTES))
    n = numbers.c.n
    # Decimal digits are hexadecimal ones, too.
    id_ = cast(literal("0" * 26, String) + cast(n + 100_000, String), Uuid)
    moment = START + timedelta(days=1)
    values = (id_, literal("owner-", String) + cast(n % OWNERS, String), *map(literal, ("Title", "Body", "body", 1)))
    columns = ("id", "owner_id", "title", "body", "search_text", "version", "created_at", "updated_at")
    times = (literal(moment, Note.created_at.type), literal(moment, Note.updated_at.type))
    async with database.transaction() as session:
        await session.execute(insert(Note).from_select(columns, select(*values, *times), include_defaults=False))
        assert (await session.execute(select(func.count()).select_from(Note))).scalar_one() > NOTES
        await session.execute(text("ANALYZE"))


async def test_statistics_have_indexes(client: AsyncClient, database: Database, watch_queries: WatchQueries) -> None:
    """No question of a caller goes through the notes of all callers."""
    for title in ("crane", "shed"):
        await create(client, title=title, tags=["red", "blue"])
    await _fill(database)

    async with watch_queries() as steps:
        for query in ({}, {"tag": "red"}, {"q": "crane"}, {"created_from": "2026-02-01T00:00:00Z"}):
            assert (await read(client, **query))["notes"] > 0
            assert await read(client, "/timeline", unit="week", **query)
            assert await read(client, "/dataset", **query)

    assert [step for step in steps if WHOLE_TABLE.search(step)] == []
