"""Types of a table's columns, from the model of its rows: exact types in Python stay exact in a file."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin
from uuid import UUID

from pydantic.fields import FieldInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from pydantic import BaseModel

_BITS = 63
_DIGITS = 38
"""Digits of the widest decimal that all Parquet readers support."""


@cache
def schema_of(row: type[BaseModel]) -> pa.Schema:
    """Return the Arrow schema of a model's fields. Timestamps are in UTC, in microseconds.

    Raises:
        TypeError: a field has no exact type in Arrow; the message names it.
    """
    import pyarrow as pa

    fields = row.model_fields.items()
    return pa.schema([pa.field(name, _type(f"{row.__name__}.{name}", field)) for name, field in fields])


def _type(name: str, field: FieldInfo) -> pa.DataType:
    import pyarrow as pa

    kind, metadata = _unwrapped(field.annotation, field.metadata)
    if kind is int:
        wide = any(_limit(each, "lt") > 1 << _BITS or _limit(each, "le") >= 1 << _BITS for each in metadata)
        return pa.decimal128(_DIGITS, 0) if wide else pa.int64()
    if kind is Decimal:
        places = [each.decimal_places for each in metadata if getattr(each, "decimal_places", None) is not None]
        if not places:
            raise TypeError(f"{name}: set its decimal places, as in Annotated[Decimal, Field(decimal_places=2)]")
        return pa.decimal128(_DIGITS, places[0])
    if kind in (known := _known()):
        return known[kind]
    if isinstance(kind, type) and issubclass(kind, Enum | UUID):
        return pa.string()
    raise TypeError(f"{name}: {field.annotation} is not a column type")


def _limit(said: Any, side: str) -> float:
    """Return a bound; 0 if there is none, which no column is too small for."""
    return getattr(said, side, None) or 0


def _unwrapped(annotation: Any, metadata: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
    """Return the type of a value that is not None, and its metadata, such as of `Annotated[int, Lt(9)] | None`."""
    if get_origin(annotation) is Annotated:
        inner, *said = get_args(annotation)
        nested = (more for each in said for more in (each.metadata if isinstance(each, FieldInfo) else [each]))
        return _unwrapped(inner, [*metadata, *nested])
    if get_origin(annotation) in {Union, UnionType}:
        kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
        return _unwrapped(kinds[0], metadata) if len(kinds) == 1 else (annotation, metadata)
    return annotation, metadata


def _known() -> dict[Any, pa.DataType]:
    import pyarrow as pa

    return {
        bool: pa.bool_(),
        float: pa.float64(),
        str: pa.string(),
        datetime: pa.timestamp("us", tz="UTC"),
        date: pa.date32(),
        timedelta: pa.duration("us"),
        bytes: pa.binary(),
    }
