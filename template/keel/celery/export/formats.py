"""File formats of exports."""

import csv
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from io import StringIO
from typing import Any

import orjson

Encode = Callable[[Mapping[str, Any]], bytes]


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters of formulas in some spreadsheet; a formula can start programs, or send the row to a server."""


class Format(StrEnum):
    """The format of an export."""

    CSV = "csv"
    JSON_LINES = "jsonl"

    @property
    def media_type(self) -> str:
        """Return the media type (CSV: RFC 4180)."""
        return "text/csv; charset=utf-8" if self is Format.CSV else "application/x-ndjson"


def encoder(format_: Format, columns: Sequence[str]) -> tuple[bytes, Encode]:
    """Return the head of the file, and a function that encodes a row."""
    if format_ is Format.JSON_LINES:
        return b"", lambda row: orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    return _line([_cell(name) for name in columns]), lambda row: _line([_cell(row[name]) for name in columns])


def _cell(value: Any) -> Any:
    """Return a value for a cell. Text that a spreadsheet would run as a formula gets a leading apostrophe (OWASP)."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return value if isinstance(value, int | float) else "" if value is None else orjson.dumps(value).decode()


def _line(cells: Sequence[Any]) -> bytes:
    text = StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()
