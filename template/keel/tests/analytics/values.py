"""Rows with values that are easily lost or changed in serialization."""

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field


class Colour(StrEnum):
    """An enumeration of strings."""

    RED = "red"


class Row(BaseModel):
    """A row with one column per type."""

    number: float | None
    count: int | None
    large: Annotated[int, Field(lt=10**30)] | None
    price: Annotated[Decimal, Field(max_digits=30, decimal_places=2)] | None
    moment: datetime | None
    day: date | None
    text: str | None
    flag: bool | None
    lasts: timedelta | None = None
    id: UUID | None = None
    colour: Colour | None = None


NOTHING: dict[str, Any] = dict.fromkeys(Row.model_fields)

ROWS: list[dict[str, Any]] = [
    {
        "number": 0.1 + 0.2,
        "count": 2**63 - 1,
        "large": 10**29 + 1,
        "price": Decimal("99999999999999999999.99"),
        "moment": datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=45))),
        "day": date(1, 1, 1),
        "text": 'a "quoted", \r\n line; ü 🐘',
        "flag": True,
        "lasts": timedelta(days=400, microseconds=1),
        "id": UUID(int=7),
        "colour": Colour.RED,
    },
    NOTHING,
    NOTHING | {"number": math.nan, "count": -(2**63), "large": -1, "price": Decimal("-0.10"), "text": ""},
    NOTHING | {"number": math.inf, "moment": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), "flag": False},
    NOTHING | {"number": -math.inf, "day": date(9999, 12, 31), "text": "=HYPERLINK(1)"},
]
