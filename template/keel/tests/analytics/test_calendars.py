"""Days of 23 and 25 hours, skipped days, and spans that are too long."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from pydantic import TypeAdapter, ValidationError

from keel.analytics.calendars import MAX_PERIODS, TimeZone, TooManyPeriods, Unit, calendar


def hours(zone: str, first: date, last: date) -> Sequence[float]:
    """Return the lengths of days, in hours."""
    noon = [datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone)) for day in (first, last)]
    return [
        (end - start) / timedelta(hours=1)
        for start, end in pairwise(calendar(ZoneInfo(zone), Unit.DAY, *noon).boundaries)
    ]


@pytest.mark.parametrize(
    ("zone", "first", "last", "expected"),
    [
        ("UTC", date(2026, 3, 28), date(2026, 3, 30), [24, 24, 24]),
        ("Europe/Berlin", date(2026, 3, 28), date(2026, 3, 30), [24, 23, 24]),
        ("Europe/Berlin", date(2026, 10, 24), date(2026, 10, 26), [24, 25, 24]),
        ("Australia/Lord_Howe", date(2026, 4, 4), date(2026, 4, 6), [24, 24.5, 24]),
        # A midnight that does not exist, and one that occurs twice.
        ("America/Sao_Paulo", date(2018, 11, 3), date(2018, 11, 5), [24, 23, 24]),
        ("America/Havana", date(2026, 10, 31), date(2026, 11, 2), [24, 25, 24]),
    ],
)
def test_days(zone: str, first: date, last: date, expected: Sequence[float]) -> None:
    """A day lasts from its first midnight to the next day's."""
    assert hours(zone, first, last) == expected


def test_skipped_day() -> None:
    """Samoa skipped 30 December 2011."""
    found = calendar(
        ZoneInfo("Pacific/Apia"),
        Unit.DAY,
        datetime(2011, 12, 29, 12, tzinfo=UTC),
        datetime(2011, 12, 31, 12, tzinfo=UTC),
    )

    assert [*found.days] == [date(2011, 12, 29), date(2011, 12, 31), date(2012, 1, 1)]
    assert all(end - start == timedelta(days=1) for start, end in pairwise(found.boundaries))
    assert all(moment.tzinfo is UTC for moment in found.boundaries)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        (Unit.WEEK, [date(2025, 12, 29), date(2026, 1, 5), date(2026, 1, 12)]),
        (Unit.MONTH, [date(2025, 12, 1), date(2026, 1, 1)]),
    ],
)
def test_weeks_and_months(unit: Unit, expected: Sequence[date]) -> None:
    """They start on Mondays and on the first of the month; the first one contains the start, in the given time zone."""
    start, end = datetime(2025, 12, 31, 23, tzinfo=UTC), datetime(2026, 1, 18, 11, tzinfo=UTC)

    assert [*calendar(ZoneInfo("America/New_York"), unit, start, end).days] == expected


@pytest.mark.parametrize(
    ("unit", "expected"),
    [(Unit.DAY, date(2026, 3, 31)), (Unit.WEEK, date(2026, 3, 30)), (Unit.MONTH, date(2026, 3, 1))],
)
def test_first_day_of_period(unit: Unit, expected: date) -> None:
    """A day's period starts on the day itself, on Monday, or on the first of the month."""
    assert unit.first(date(2026, 3, 31)) == expected


def test_longest_span() -> None:
    """One more day is refused before any period is computed."""
    zone, start = ZoneInfo("UTC"), datetime(2000, 1, 1, tzinfo=UTC)

    assert len(calendar(zone, Unit.DAY, start, start + timedelta(days=MAX_PERIODS - 1)).days) == MAX_PERIODS
    with pytest.raises(TooManyPeriods, match="Filter by time") as refused:
        calendar(zone, Unit.DAY, start, start + timedelta(days=MAX_PERIODS))

    assert (refused.value.status, refused.value.type) == (422, "urn:problem:too-many-periods")


@pytest.mark.parametrize(
    ("zone", "moment"),
    [
        ("America/New_York", datetime.min.replace(tzinfo=UTC)),
        ("Asia/Tokyo", datetime.max.replace(tzinfo=UTC)),
        ("UTC", datetime.max.replace(tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize("unit", Unit)
def test_limits_of_datetime(zone: str, moment: datetime, unit: Unit) -> None:
    """Spans that datetime can't represent are refused rather than causing a server error."""
    with pytest.raises(TooManyPeriods):
        calendar(ZoneInfo(zone), unit, moment, moment)


def test_zones() -> None:
    """A zone can be passed by name or as a ZoneInfo; the JSON schema's pattern matches every name."""
    zones = TypeAdapter(TimeZone)

    assert {zones.validate_python(given) for given in ("Asia/Tokyo", ZoneInfo("Asia/Tokyo"))} == {
        ZoneInfo("Asia/Tokyo")
    }
    schema = zones.json_schema()
    assert (schema["type"], schema["maxLength"], schema["example"]) == ("string", 100, "UTC")
    assert all(re.fullmatch(schema["pattern"], name) for name in available_timezones())


@pytest.mark.parametrize(
    "name", ["", "Europe", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "a\x00b", "A" * 5000]
)
def test_unknown_zones(name: str) -> None:
    """Only names in the time zone database are accepted."""
    with pytest.raises(ValidationError, match="use an IANA time zone"):
        TypeAdapter(TimeZone).validate_python(name)
