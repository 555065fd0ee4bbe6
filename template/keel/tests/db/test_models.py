"""The base of all models."""

from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum, StrEnum
from typing import Literal

import pytest
from sqlalchemy import Enum, MetaData, select, text
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Mapped, mapped_column

from keel.db.database import Database
from keel.db.models import MAX_MEMBER, load_models
from keel.hooks import PackageError
from keel.tests.widgets.models import TestBase, Widget


async def test_datetimes_are_stored_in_utc(database: Database) -> None:
    """A datetime in any zone comes back as the same instant in UTC."""
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=5)))
    async with database.transaction() as session:
        session.add(Widget(owner_id="o", title="t", created_at=moment))

    row = await database.read.first(Widget.__table__.select())

    assert row is not None
    assert row.created_at == moment
    assert row.created_at.utcoffset() == timedelta(0)
    assert datetime.now(UTC) > row.created_at


async def test_naive_datetimes_are_refused(database: Database) -> None:
    """Without a zone, the instant is ambiguous."""
    moment = datetime(2026, 1, 2)  # noqa: DTZ001 - on purpose
    with pytest.raises(StatementError, match="time zone"):
        async with database.transaction() as session:
            session.add(Widget(owner_id="o", title="t", created_at=moment))


def test_constraints_have_names() -> None:
    """A migration can only change a constraint that has a name."""
    tables = [*load_models().tables.values(), *TestBase.metadata.tables.values()]
    constraints = [c for table in tables for c in table.constraints]

    assert constraints
    assert all(constraint.name for constraint in constraints)


class Colour(StrEnum):
    """Text, in lower case."""

    RED = "red"


class Level(IntEnum):
    """Numbers."""

    LOW = 1


class Choices(TestBase):
    """A table of enumerations, as FastAPI's and SQLAlchemy's pages write them."""

    __tablename__ = "choices"
    metadata = MetaData()

    colour: Mapped[Colour] = mapped_column(primary_key=True)
    level: Mapped[Level | None]
    side: Mapped[Literal["left", "right"]]


@pytest.mark.parametrize("name", ["colour", "level", "side"])
def test_enumerations_are_text(name: str) -> None:
    """A new member needs no migration: the column is text with room for it, without a database type."""
    type_ = Choices.__table__.columns[name].type

    assert isinstance(type_, Enum)
    assert (type_.native_enum, type_.create_constraint, type_.length) == (False, False, 32)


def test_oversized_enumeration_member() -> None:
    """The error names the model and the fix, instead of a driver's error on the first row."""
    kind = StrEnum("kind", {"LONG": "x" * (MAX_MEMBER + 1)})

    annotated = {"kind": Mapped[kind]}
    with pytest.raises(PackageError, match=r"Wordy: a member of an enumeration has more than 32 characters"):
        type("Wordy", (TestBase,), {"metadata": MetaData(), "__tablename__": "w", "__annotations__": annotated})


async def test_enumeration_members_are_stored_by_value(database: Database) -> None:
    """Numeric members are stored by name; each member round-trips."""
    async with database.writer.begin() as connection:
        await connection.run_sync(Choices.metadata.create_all)
    try:
        async with database.transaction() as session:
            session.add(Choices(colour=Colour.RED, level=Level.LOW, side="left"))
        stored = await database.read.first(text("SELECT colour, level, side FROM choices"))
        found = await database.read.first(select(Choices.__table__))
    finally:
        async with database.writer.begin() as connection:
            await connection.run_sync(Choices.metadata.drop_all)

    assert stored == ("red", "LOW", "left")
    assert found == (Colour.RED, Level.LOW, "left")
