"""Datetimes in requests."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import TypeAdapter, ValidationError

from keel.clock import UtcDatetime, now

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
MOMENTS = TypeAdapter(UtcDatetime)


@pytest.mark.parametrize(
    "text",
    [
        *("2026-01-31T12:00:00Z", "2026-01-31t12:00:00.000000+00:00", "2026-01-31 13:00:00+01:00", "2026-01-31T12:00Z"),
    ],
)
def test_rfc_3339(text: str) -> None:
    """Each form of RFC 3339 is converted to the same datetime in UTC."""
    moment = MOMENTS.validate_python(text)

    assert moment == NOON
    assert moment.tzinfo is UTC


def test_other_time_zone() -> None:
    """A datetime in another zone is converted to UTC."""
    moment = MOMENTS.validate_python(NOON.astimezone(timezone(timedelta(hours=5))))

    assert moment == NOON
    assert moment.tzinfo is UTC


@pytest.mark.parametrize("text", ["1769860800", "2026-01-31", "2026-01-31T12:00:00", "12:00:00Z", "tomorrow", ""])
def test_invalid_datetimes(text: str) -> None:
    """Refused, including numbers and dates, which Pydantic would accept as timestamps and midnights."""
    with pytest.raises(ValidationError):
        MOMENTS.validate_python(text)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_out_of_range(text: str) -> None:
    """In UTC, these are outside the years 1 to 9999."""
    with pytest.raises(ValidationError, match="out of range"):
        MOMENTS.validate_python(text)


def test_now() -> None:
    """The current time is in UTC."""
    assert now().tzinfo is UTC
