"""Times: the current one, and those in requests."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")


def now() -> datetime:
    """Return the current time in UTC, with its zone."""
    return datetime.now(UTC)


def _is_date_time(value: object) -> object:
    """Refuse numbers, which pydantic reads as Unix time: the OpenAPI document promises only RFC 3339."""
    if isinstance(value, str) and not _DATE_TIME.match(value):
        raise ValueError("write the time as in 2026-01-31T12:00:00Z")
    return value


def _to_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("the time is out of range") from None


UtcDatetime = Annotated[AwareDatetime, BeforeValidator(_is_date_time), AfterValidator(_to_utc)]
"""A time with a zone (RFC 3339), converted to UTC."""
