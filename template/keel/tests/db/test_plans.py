"""Query plans: the helper with which packages test that indexes serve their lists."""

from uuid import uuid4

from sqlalchemy import select

from keel.db.database import Database
from keel.testing.plans import WatchQueries
from keel.tests.widgets.models import Widget, create_tables


async def test_steps_without_an_index_are_named(database: Database, watch_queries: WatchQueries) -> None:
    """An indexed query in index order has no such step; one without an index scans the table."""
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
