"""Plans of queries: what the tests of packages rely on when they say that indexes serve their lists."""

from uuid import uuid4

from sqlalchemy import select

from keel.db.database import Database
from keel.testing.plans import WatchQueries
from keel.tests.widgets.models import Widget, create_tables


async def test_steps_without_an_index_are_named(database: Database, watch_queries: WatchQueries) -> None:
    """A query for what an index has, in its order, has no such step; by a column without an index, it goes through the table."""
    await create_tables(database)
    widgets = select(Widget.id).where(Widget.owner_id == "ada")

    async with watch_queries() as faults:
        await database.read.all(widgets.order_by(Widget.id))
        await database.read.first(select(Widget.title).where(Widget.id == uuid4()))
    assert faults == []

    async with watch_queries() as faults:
        await database.read.all(widgets.order_by(Widget.title))
    assert len(faults) == 1

    async with watch_queries() as faults:
        await database.read.all(select(Widget.id).where(Widget.title == "Anchor"))
    assert len(faults) == 1
    assert "widgets" in faults[0]
