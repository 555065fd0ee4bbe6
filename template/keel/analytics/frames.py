"""Conversion between rows, DataFrames and Arrow tables, with the types of the rows' model.

Call these in `Workers.run`: they import pandas and pyarrow, and take time proportional to the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from keel.analytics.columns import schema_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pydantic import BaseModel


def to_frame(rows: Sequence[Any], row: type[BaseModel]) -> pd.DataFrame:
    """Return a DataFrame of rows of a database, mappings or models, whose columns are the model's fields.

    Columns have Arrow's types: integers with missing values stay integers, decimals and timestamps stay exact.

    Raises:
        pyarrow.ArrowInvalid, OverflowError: a value does not fit its column.
    """
    import pandas as pd

    return to_arrow(rows, row).to_pandas(types_mapper=pd.ArrowDtype)


def to_arrow(rows: Sequence[Any] | pd.DataFrame, row: type[BaseModel]) -> pa.Table:
    """Return rows, or a DataFrame with the model's columns, as an Arrow table with the model's types.

    In a DataFrame, NaN, NaT and NA are missing values, as in pandas; in rows, NaN is a number.

    Raises:
        pyarrow.ArrowInvalid, OverflowError: a value does not fit its column.
        KeyError: the DataFrame lacks a column.
    """
    import pyarrow as pa

    schema = schema_of(row)
    if not isinstance(rows, Sequence):
        return pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
    columns = {name: [_plain(value) for value in column(rows, name)] for name in schema.names}
    return pa.Table.from_pydict(columns, schema=schema)


def column(rows: Sequence[Any], name: str) -> Sequence[Any]:
    """Return the values of a column; the rows are all mappings, or none is."""
    read = itemgetter(name) if rows and isinstance(rows[0], Mapping) else attrgetter(name)
    return [*map(read, rows)]


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError("a datetime needs a time zone")
    return str(value) if isinstance(value, UUID) else value
