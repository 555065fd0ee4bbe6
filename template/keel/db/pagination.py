"""Pages of a list in the database: the rows after a cursor, in an order that the caller chooses."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnCollection,
    ColumnElement,
    Integer,
    Interval,
    Select,
    SmallInteger,
    Table,
    and_,
    bindparam,
    or_,
    select,
    tuple_,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

from keel.clock import UtcDatetime
from keel.db.database import AnyRow, ReadSession, Session
from keel.text import SafeStr
from keel.web.pagination import Page, decode, encode

T = TypeVar("T")

_BITS = ((BigInteger, 63), (SmallInteger, 15), (Integer, 31))


async def paginate(
    session: Session | ReadSession,
    statement: Select[*tuple[Any, ...]],
    schema: type[T],
    *,
    order: str,
    cursor: str | None = None,
    limit: int = 20,
) -> Page[T]:
    """Return a page of the rows that a statement selects.

    Args:
        session: where to read.
        statement: selects a column `id`, which is unique, and the column of the order.
        schema: the type of items, built from rows.
        order: the name of a selected column, with a leading minus for descending order. Rows without a value come
            last. Take it from a fixed set: an unknown name raises KeyError.
        cursor: `next` of the previous page.
        limit: the maximum number of items.

    Raises:
        InvalidCursor: the cursor is not from a list in this order.
    """
    if isinstance(session, Session):
        # Otherwise the session would turn rows of a model into entities.
        statement = statement.with_only_columns(*statement.selected_columns, maintain_column_froms=True)
    statement = _comparable(statement, order)
    after = read_cursor(statement, order, cursor)
    rows = await session.all(ordered(statement, order, tuple(after)), {**after, "page_limit": limit + 1})
    return to_page(rows, schema, order, limit)


def _comparable(statement: Select[*tuple[Any, ...]], order: str) -> Select[*tuple[Any, ...]]:
    """Return a statement whose WHERE can use the columns of the order, such as aggregates, which need a subquery."""
    columns = statement.selected_columns
    computed = any(not isinstance(columns[name], Column) for name in (order.removeprefix("-"), "id"))
    return select(statement.subquery()) if computed else statement


def read_cursor(statement: Select[*tuple[Any, ...]], order: str, cursor: str | None) -> Mapping[str, Any]:
    """Return the parameters that a cursor encodes; one is missing if the last row has no value.

    Raises:
        InvalidCursor: the cursor is not from a list in this order.
    """
    if cursor is None:
        return {}
    columns = statement.selected_columns
    key = columns[order.removeprefix("-")]
    value, id_ = decode(cursor, order, (_type(key.type, nullable=_nullable(columns, key)), _type(columns["id"].type)))
    return {"page_id": id_} if value is None else {"page_id": id_, "page_value": value}


def ordered(statement: Select[*tuple[Any, ...]], order: str, after: Sequence[str]) -> Select[*tuple[Any, ...]]:
    """Order a statement as `paginate` does, after a cursor whose parameters (`read_cursor`) have the names `after`."""
    columns = statement.selected_columns
    key, id_ = columns[order.removeprefix("-")], columns["id"]
    descending, nullable = order.startswith("-"), _nullable(columns, key)
    if after:
        place = bindparam("page_id", type_=id_.type)
        beyond = id_ < place if descending else id_ > place
        if "page_value" in after:
            here, there = tuple_(key, id_), tuple_(bindparam("page_value", type_=key.type), place)
            beyond = here < there if descending else here > there
            beyond = or_(beyond, key.is_(None)) if nullable else beyond
        else:
            beyond = and_(key.is_(None), beyond)
        statement = statement.where(beyond)
    directed = [column.desc() if descending else column.asc() for column in (key, id_)]
    if nullable:
        # Databases disagree on where rows without a value are sorted.
        directed[0] = directed[0].nulls_last()
    return statement.order_by(*directed).limit(bindparam("page_limit", literal_execute=False))


def to_page(rows: Sequence[AnyRow], schema: type[T], order: str, limit: int) -> Page[T]:
    """Return a page of rows; one row more than the limit means that another page follows."""
    following = None
    if len(rows) > limit:
        last = rows[limit - 1]
        following = encode(order, (getattr(last, order.removeprefix("-")), last.id))
    # From dictionaries, Pydantic builds items three times as fast as from attributes. `Row._fields` is public.
    items = [dict(zip(row._fields, row, strict=True)) for row in rows[:limit]]
    return _page(schema).validate_python({"items": items, "next": following}, from_attributes=True, extra="ignore")


@cache
def _page(schema: type[T]) -> TypeAdapter[Page[T]]:
    return TypeAdapter(Page[schema])  # ty: ignore[invalid-type-form]


def _nullable(columns: ColumnCollection[str, ColumnElement[Any]], key: ColumnElement[Any]) -> bool:
    """Whether a column may be NULL, including columns of another table than `id`'s, which may be outer-joined."""
    table = getattr(key, "table", None)
    return not isinstance(table, Table) or table is not getattr(columns["id"], "table", None) or key.nullable


def _type(type_: TypeEngine[Any], *, nullable: bool = False) -> TypeAdapter[Any]:
    """Return the adapter of a cursor's value for a column; it accepts nothing that the database would refuse."""
    if isinstance(type_, TypeDecorator) and not isinstance(type_, Interval):
        return _type(type_.impl_instance, nullable=nullable)
    kind: Any = type_.python_type
    if kind is int:
        bits = next((bits for types, bits in _BITS if isinstance(type_, types)), 31)
        return _adapter(kind, nullable=nullable, bits=bits)
    return _adapter(kind, nullable=nullable)


@cache
def _adapter(kind: Any, *, nullable: bool, bits: int = 0) -> TypeAdapter[Any]:
    known: dict[Any, Any] = {
        str: SafeStr,
        int: Annotated[int, Field(ge=-(2**bits), lt=2**bits)],
        datetime: UtcDatetime,
        Decimal: Annotated[Decimal, Field(max_digits=100)],
    }
    chosen = known.get(kind, kind)
    return TypeAdapter(chosen | None if nullable else chosen)
