"""Methods inherited from `Repository`."""

from datetime import timedelta

import pytest

from keel import clock
from keel.db.database import Database
from keel.db.repository import Repository, insert_one, unique
from keel.tests.widgets.models import Label, Widget
from keel.web.errors import Conflict


class Widgets(Repository[Widget]):
    """A repository without its own queries."""

    model = Widget


class Labels(Repository[Label]):
    """Labels of widgets."""

    model = Label


async def test_an_inserted_row_has_its_defaults(database: Database) -> None:
    """The returned row and the stored one have the model's defaults and timestamps."""
    async with database.transaction() as session:
        row = await Widgets(session).add(owner_id="o", title="t")

    assert row.body == ""
    assert row.created_at == row.updated_at
    assert clock.now() - row.created_at < timedelta(minutes=5)
    stored = await Widgets(database.read).get(id=row.id, owner_id="o")
    assert stored is not None
    assert stored.created_at == row.created_at
    assert await Widgets(database.read).get(id=row.id, owner_id="another") is None


async def test_unique_violation_is_a_conflict(database: Database) -> None:
    """A unique violation becomes the given error, and the transaction is rolled back."""
    with pytest.raises(Conflict):
        async with database.transaction() as session:
            await insert_one(session, Label, name="n")
            with unique(Conflict("There is one already.")):
                await insert_one(session, Label, name="n")

    assert await Labels(database.read).count() == 0


async def test_changes_and_deletions(database: Database) -> None:
    """Entities are updated and deleted in the transaction that read them."""
    async with database.transaction() as session:
        row = await Labels(session).add(name="old")
    async with database.transaction() as session:
        label = await Labels(session).get_for_update(id=row.id)
        assert label is not None
        await Labels(session).update(label, name="new")
    assert await Labels(database.read).count(name="new") == 1
    async with database.transaction() as session:
        label = await Labels(session).get_for_update(name="new")
        assert label is not None
        await Labels(session).delete(label)
    assert await Labels(database.read).count() == 0


async def test_writing_with_a_read_session(database: Database) -> None:
    """The error names the repository and what it lacks."""
    with pytest.raises(TypeError, match="Labels was given a ReadSession"):
        await Labels(database.read).add(name="n")
