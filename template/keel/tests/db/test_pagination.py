"""Pages of statements, in orders of every type."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum
from math import inf
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel
from sqlalchemy import (
    Boolean,
    Date,
    Double,
    Enum,
    Integer,
    Interval,
    Numeric,
    Select,
    String,
    Time,
    Uuid,
    cast,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.types import TypeEngine

from keel.db.database import Database
from keel.db.models import UtcTimestamp
from keel.db.pagination import paginate
from keel.tests.widgets.models import Label, Widget
from keel.web.pagination import InvalidCursor, encode


class Size(StrEnum):
    """An enumeration whose order is not that of its values."""

    SMALL = "small"
    BIG = "big"


class Level(IntEnum):
    """An enumeration whose members are stored by name."""

    HIGH = 1
    LOW = 2


class Item(BaseModel, from_attributes=True):
    """An item of a page."""

    id: UUID
    value: Any


def rows(type_: TypeEngine[Any], values: list[Any]) -> Select[UUID, Any]:
    """Return a statement that selects values, numbered by their ids."""
    selects = [
        select(literal(UUID(int=i), Uuid).label("id"), _value(value, type_).label("value"))
        for i, value in enumerate(values)
    ]
    table = union_all(*selects).subquery()
    return select(table.c.id, table.c.value)


def _value(value: Any, type_: TypeEngine[Any]) -> Any:
    # SQLite would make numbers of dates and times; PostgreSQL needs to know what a NULL is.
    return (
        literal(value, type_)
        if value is not None and isinstance(type_, (Date, Time, Interval))
        else cast(literal(value, type_), type_)
    )


MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)

VALUES: list[tuple[TypeEngine[Any], list[Any]]] = [
    (Integer(), [3, 1, None, 2, 1]),
    (String(20), ["b", "a", None, "é", "a"]),
    (Numeric(10, 2), [Decimal("9.90"), Decimal("10.00"), None, Decimal("0.10"), Decimal("9.90")]),
    (Double(), [inf, 0.1, None, 0.3, inf]),
    (Interval(), [DAY, HOUR, None, -HOUR, HOUR]),
    (Time(), [time(12), time(0), None, time(0, 0, 0, 1), time(12)]),
    (Boolean(), [True, False, None, False, True]),
    (Date(), [date(2026, 1, 2), date(1815, 12, 23), None, date(2026, 1, 1), date(1815, 12, 23)]),
    (
        Enum(Size, native_enum=False, values_callable=lambda kind: [member.value for member in kind]),
        [Size.SMALL, Size.BIG, None, Size.SMALL, Size.BIG],
    ),
    (Enum(Level, native_enum=False), [Level.LOW, Level.HIGH, None, Level.LOW, Level.HIGH]),
]


class Strict(BaseModel, extra="forbid"):
    """A schema with fewer fields than there are columns."""

    id: UUID


async def test_columns_without_a_field(database: Database) -> None:
    """They are left out, even if the schema refuses unknown fields: callers send none of them."""
    page = await paginate(database.read, rows(Integer(), [1]), Strict, order="value")

    assert page.items == [Strict(id=UUID(int=0))]


@pytest.mark.parametrize(("type_", "values"), VALUES, ids=lambda item: type(item).__name__)
@pytest.mark.parametrize("order", ["value", "-value"])
async def test_pages_are_complete(database: Database, type_: TypeEngine[Any], values: list[Any], order: str) -> None:
    """Pages of one row show every row once, in order; NULLs come last."""
    statement = rows(type_, values)
    cursor, seen = None, []
    while True:
        page = await paginate(database.read, statement, Item, order=order, cursor=cursor, limit=1)
        seen += [item.id.int for item in page.items]
        if (cursor := page.next) is None:
            break

    known = sorted(
        (i for i, value in enumerate(values) if value is not None),
        key=lambda i: (values[i], i),
        reverse=order.startswith("-"),
    )
    assert seen == [*known, *(i for i, value in enumerate(values) if value is None)]


WRONG: list[tuple[TypeEngine[Any], Any]] = [
    (Integer(), 2**31),
    (Integer(), "one"),
    (String(20), "\x00"),
    (Numeric(10, 2), "NaN"),
    (Numeric(10, 2), "1e999"),
    (Date(), "yesterday"),
    (UtcTimestamp(), "2026-01-01T00:00:00"),
]


@pytest.mark.parametrize(("type_", "value"), WRONG)
async def test_invalid_cursor_values_are_refused(database: Database, type_: TypeEngine[Any], value: Any) -> None:
    """A cursor with a value of the wrong type never reaches the database."""
    cursor = encode("value", (value, UUID(int=1)))

    with pytest.raises(InvalidCursor):
        await paginate(database.read, rows(type_, [None]), Item, order="value", cursor=cursor)


async def test_datetimes(database: Database) -> None:
    """Cursors keep the microseconds of datetimes."""
    moments = [MOMENT + timedelta(microseconds=i) for i in (2, 0, 1)]
    async with database.transaction() as session:
        session.add_all(Widget(owner_id="o", title="t", created_at=m) for m in moments)
    statement = select(Widget.id, Widget.created_at.label("value"))
    first = await paginate(database.read, statement, Item, order="-value", limit=2)
    second = await paginate(database.read, statement, Item, order="-value", cursor=first.next)

    assert [item.value for item in [*first.items, *second.items]] == sorted(moments, reverse=True)
    assert second.next is None


async def numbers(database: Database, statement: Select[*tuple[Any, ...]], order: str) -> list[int]:
    """Follow the pages of a statement, in and outside a transaction; return the ids' numbers."""
    seen: list[list[int]] = []
    async with database.transaction() as transaction:
        for session in (database.read, transaction):
            cursor, ids = None, []
            while cursor is not None or not ids:
                page = await paginate(session, statement, Item, order=order, cursor=cursor, limit=1)
                ids += [item.id.int for item in page.items]
                cursor = page.next
            seen.append(ids)
    assert seen[0] == seen[1]
    return seen[0]


@pytest.fixture
async def widgets(database: Database) -> None:
    """Add widgets a, b and c; a has one label, c has two."""
    async with database.transaction() as session:
        session.add_all(Widget(id=UUID(int=i), owner_id="o", title=title) for i, title in enumerate("abc"))
        await session.flush()
        session.add_all(Label(widget_id=UUID(int=i), name=name) for i, name in [(0, "z"), (2, "x"), (2, "y")])


@pytest.mark.usefixtures("widgets")
async def test_entities(database: Database) -> None:
    """A statement may select a whole model."""
    statement = select(Widget, Widget.title.label("value")).where(Widget.owner_id == "o")

    assert await numbers(database, statement, "-title") == [2, 1, 0]


@pytest.mark.usefixtures("widgets")
async def test_joined_columns(database: Database) -> None:
    """A NOT NULL column is NULL where an outer join found no row."""
    join = select(Widget.id, Label.name.label("value"), Label.name).outerjoin(Label, Label.widget_id == Widget.id)
    statement = join.where((Label.name != "x") | Label.name.is_(None))

    assert await numbers(database, statement, "name") == [2, 0, 1]
    assert await numbers(database, statement, "-name") == [0, 2, 1]


@pytest.mark.usefixtures("widgets")
async def test_computed_columns(database: Database) -> None:
    """Pages can be sorted by a computed column, although WHERE cannot contain an aggregate."""
    count = select(Widget.id, func.count(Label.id).label("value")).outerjoin(Label, Label.widget_id == Widget.id)

    assert await numbers(database, count.group_by(Widget.id), "value") == [1, 0, 2]
    assert await numbers(database, count.group_by(Widget.id), "-value") == [2, 0, 1]
