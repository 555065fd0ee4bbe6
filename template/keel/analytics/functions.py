"""SQL that works the same on every database: a parameter as a table of timestamps."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ARRAY, CTE, DateTime, Dialect, String, bindparam, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from keel.db.models import UtcTimestamp


class _Moments(TypeDecorator[Sequence[datetime]]):
    """Timestamps as one parameter."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(String() if dialect.name == "sqlite" else ARRAY(DateTime(timezone=True)))

    def process_bind_param(self, value: Sequence[datetime] | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        # In SQLAlchemy's storage format for SQLite, so that they compare as text.
        moments = (moment.astimezone(UTC).replace(tzinfo=None) for moment in value)
        return json.dumps([moment.isoformat(" ", "microseconds") for moment in moments])


class _unnest(FunctionElement[datetime]):  # noqa: N801 - as SQLAlchemy's functions
    """A table with a row for each timestamp of a parameter."""

    type = UtcTimestamp()
    inherit_cache = True


@compiles(_unnest, "sqlite")
def _on_sqlite(element: _unnest, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(_unnest, "postgresql")
def _on_postgresql(element: _unnest, compiler: SQLCompiler, **options: Any) -> str:
    return f"unnest({compiler.process(element.clauses, **options)})"


def periods(boundaries: Sequence[datetime]) -> CTE:
    """Return a table of periods with the columns `position` (from 0), `beginning` and `ending` (exclusive).

    Aggregate each period in a scalar subquery on `column >= beginning` and `column < ending`: an index on the column
    finds its rows. The statement is the same for any number of periods, so PostgreSQL soon uses a generic plan, which
    assumes ten of them: with a join, it would compare each row with each period.

    Args:
        boundaries: the beginnings of periods, in order, then the end of the last one.
    """
    # PostgreSQL names a scalar function's only column like its table; SQLite names it `value`.
    moment = _unnest(bindparam("boundaries", list(boundaries), type_=_Moments(), unique=True)).table_valued(
        "value", name="value"
    )
    value = moment.c.value
    value.type = UtcTimestamp()
    each = select(
        (func.row_number().over(order_by=value) - 1).label("position"),
        value.label("beginning"),
        func.lead(value, type_=UtcTimestamp()).over(order_by=value).label("ending"),
    ).subquery()
    return select(each).where(each.c.ending.is_not(None)).cte("periods")
