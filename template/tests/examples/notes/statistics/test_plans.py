"""Every query uses indexes with a hundred thousand notes, in custom and generic plans."""

import re
from datetime import UTC, datetime
from uuid import UUID

from httpx2 import AsyncClient
from sqlalchemy import CTE, ColumnElement, String, Uuid, cast, insert, literal, select, text

from app.examples.notes.models import Note, Tag, note_tags
from keel.db.database import Database
from keel.testing.plans import WatchQueries
from tests.examples.notes.api import create
from tests.examples.notes.statistics.data import read

START = datetime(2026, 1, 1, tzinfo=UTC)

WHOLE_TABLE = re.compile(r"(SCAN|Seq Scan on) (notes|note_tags|tags)\b")
"""A step that reads a whole table. Sorting rows found by an index is fine."""


COMPARISON = "Join Filter"
"""A PostgreSQL step that compares each row of one table with each row of another."""


async def _fill(database: Database, notes_in_all: int, owners_in_all: int) -> None:
    """Add notes of other owners, each with a tag, with three statements."""
    owners, notes = _numbers(owners_in_all, "owners"), _numbers(notes_in_all, "numbers")
    owner = literal("owner-", String) + cast(notes.c.n % owners_in_all, String)
    times = [literal(START, Note.created_at.type)] * 2
    texts = [*map(literal, ("Title", "Body", "body", 1))]
    tags = select(_id("1", owners.c.n), literal("owner-", String) + cast(owners.c.n, String), literal("red"))
    columns = ("id", "owner_id", "title", "body", "search_text", "version", "created_at", "updated_at")
    tagged = select(_id("2", notes.c.n), _id("1", notes.c.n % owners_in_all + 1))
    async with database.transaction() as session:
        for statement in (
            insert(Tag).from_select(("id", "owner_id", "name"), tags, include_defaults=False),
            insert(Note).from_select(
                columns, select(_id("2", notes.c.n), owner, *texts, *times), include_defaults=False
            ),
            insert(note_tags).from_select(("note_id", "tag_id"), tagged),
            text("ANALYZE"),
        ):
            await session.execute(statement)


def _numbers(count: int, name: str) -> CTE:
    """Return a table of the numbers from 1 to `count`."""
    numbers = select(literal(1).label("n")).cte(name, recursive=True)
    return numbers.union_all(select(numbers.c.n + 1).where(numbers.c.n < count))


def _id(kind: str, number: ColumnElement[int]) -> ColumnElement[UUID]:
    """Return a UUID made of decimal digits."""
    return cast(literal(kind + "0" * 25, String) + cast(number + 100_000, String), Uuid)


async def test_statistics_have_indexes(client: AsyncClient, database: Database, watch_queries: WatchQueries) -> None:
    """No query scans the notes of all callers."""
    for title in ("crane", "shed"):
        await create(client, title=title, tags=["red", "blue"])
    await _fill(database, 100_000, 1000)

    async with watch_queries() as steps:
        for query in ({}, {"tag": "red"}, {"q": "crane"}, {"created_from": "2026-02-01T00:00:00Z"}):
            assert (await read(client, **query))["notes"] > 0
            assert await read(client, "/timeline", unit="week", **query)
            assert await read(client, "/dataset", **query)

    assert [step for step in steps if WHOLE_TABLE.search(step)] == []


async def test_notes_are_not_joined_with_periods_row_by_row(
    client: AsyncClient, database: Database, watch_queries: WatchQueries
) -> None:
    """Each period's notes are found by an index: comparing all notes with all periods would take millions of steps."""
    await create(client, title="crane", tags=["red"])
    await _fill(database, 30_000, 10)

    for query in ({}, {"tag": "red"}, {"q": "crane"}, {"created_from": "2026-01-01T00:00:00Z"}):
        for path in ("", "/timeline"):
            async with watch_queries() as steps:
                await read(client, path, **query)
            assert [step for step in steps if COMPARISON in step] == []
