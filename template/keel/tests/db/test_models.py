"""Moments in the database."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.exc import StatementError

from keel.db.database import Database
from keel.db.models import load_models
from keel.tests.widgets.models import TestBase, Widget


async def test_moments_keep_their_zone(database: Database) -> None:
    """Whatever zone a moment was given in, it comes back as the same moment in UTC."""
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=5)))
    async with database.transaction() as session:
        session.add(Widget(owner_id="o", title="t", created_at=moment))

    row = await database.read.first(Widget.__table__.select())

    assert row is not None
    assert row.created_at == moment
    assert row.created_at.utcoffset() == timedelta(0)
    assert datetime.now(UTC) > row.created_at


async def test_moments_need_a_zone(database: Database) -> None:
    """Without one, the instant is ambiguous."""
    moment = datetime(2026, 1, 2)  # noqa: DTZ001 - on purpose
    with pytest.raises(StatementError, match="time zone"):
        async with database.transaction() as session:
            session.add(Widget(owner_id="o", title="t", created_at=moment))


def test_constraints_have_names() -> None:
    """A migration can only change what has a name."""
    tables = [*load_models().tables.values(), *TestBase.metadata.tables.values()]
    constraints = [c for table in tables for c in table.constraints]

    assert constraints
    assert all(constraint.name for constraint in constraints)
