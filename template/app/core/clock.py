"""Moments: the current one, and those that callers name."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime


def now() -> datetime:
    """Return the current time in UTC, with its zone."""
    return datetime.now(UTC)


def _to_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("the moment is out of range") from None


Moment = Annotated[AwareDatetime, AfterValidator(_to_utc)]
"""A moment with a zone (RFC 3339), turned into UTC."""
