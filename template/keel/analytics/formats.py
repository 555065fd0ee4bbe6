"""The media types of tables."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel


class Format(StrEnum):
    """The media type of a table; the first one is the default."""

    RECORDS = "application/json"
    SPLIT = "application/json; orient=split"
    CSV = "text/csv"
    PARQUET = "application/vnd.apache.parquet"
    ARROW = "application/vnd.apache.arrow.stream"

    @property
    def content_type(self) -> str:
        """Return the `Content-Type` header (CSV: RFC 4180)."""
        return f"{self}; charset=utf-8; header=present" if self is Format.CSV else str(self)

    @property
    def extension(self) -> str:
        """Return the extension of a file's name; empty if browsers show the response."""
        return {Format.CSV: ".csv", Format.PARQUET: ".parquet", Format.ARROW: ".arrows"}.get(self, "")


def content(row: type[BaseModel]) -> Mapping[str, Any]:
    """Return the OpenAPI `content` of a response in formats other than JSON records."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {Format.SPLIT.value: {"schema": _split(row)}, **{f.value: binary for f in Format if f.extension}}


def _split(row: type[BaseModel]) -> dict[str, Any]:
    columns = {"type": "array", "items": {"type": "string", "enum": [*row.model_fields]}}
    data = {"type": "array", "items": {"type": "array", "items": {}}}
    return {
        "type": "object",
        "title": f"{row.__name__}Split",
        "required": ["columns", "data"],
        "properties": {"columns": columns, "data": data},
    }
