"""Days, weeks and months in a time zone: days may have 23 or 25 hours, or be skipped altogether."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, WithJsonSchema

from keel.web.errors import AppError

MAX_PERIODS = 7_500
"""The most periods in one response: twenty years of days."""

_MONTHS = 12


class TooManyPeriods(AppError):
    """The span has too many periods, or exceeds the years of the calendar."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    type = "urn:problem:too-many-periods"


def _zone(value: object) -> object:
    """Return the zone of a name.

    Raises:
        ValueError: there is no such zone.
    """
    if isinstance(value, str):
        try:
            return ZoneInfo(value)
        except (LookupError, OSError, ValueError):
            raise ValueError("use an IANA time zone, such as Europe/Berlin") from None
    return value


TimeZone = Annotated[
    ZoneInfo,
    BeforeValidator(_zone),
    WithJsonSchema({"type": "string", "maxLength": 100, "pattern": "^[A-Za-z][A-Za-z0-9_+/-]*$", "example": "UTC"}),
]
"""The name of a time zone in the IANA database."""


class Unit(StrEnum):
    """The length of periods. Weeks begin on Monday (ISO 8601)."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def first(self, day: date) -> date:
        """Return the first day of the period that contains a day."""
        if self is Unit.WEEK:
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self is Unit.MONTH else day

    def after(self, day: date, count: int) -> date:
        """Return the first day of the period that is `count` periods after the one that begins on a day."""
        if self is Unit.MONTH:
            months = day.year * _MONTHS + day.month - 1 + count
            return date(months // _MONTHS, months % _MONTHS + 1, 1)
        return day + timedelta(days=count * (7 if self is Unit.WEEK else 1))

    def distance(self, first: date, last: date) -> int:
        """Return the number of periods from the one that begins on `first` to the one that begins on `last`, inclusive."""
        if self is Unit.MONTH:
            return (last.year - first.year) * _MONTHS + last.month - first.month + 1
        return (last - first).days // (7 if self is Unit.WEEK else 1) + 1


@dataclass(frozen=True, slots=True)
class Calendar:
    """The periods of a span, without gaps."""

    days: Sequence[date]
    """The first day of each period, in the calendar's zone."""

    boundaries: Sequence[datetime]
    """When each period begins, and when the last one ends, in UTC: one element more than periods."""


def calendar(zone: ZoneInfo, unit: Unit, first: datetime, last: datetime) -> Calendar:
    """Return the periods from the one that contains a time to the one that contains another.

    A day that a zone skipped, as Samoa did in 2011, is not a period.

    Raises:
        TooManyPeriods: there are more than `MAX_PERIODS`, or one is beyond the years 1 to 9999.
    """
    try:
        start, end = (unit.first(moment.astimezone(zone).date()) for moment in (first, last))
        if (count := unit.distance(start, end)) > MAX_PERIODS:
            raise TooManyPeriods(
                f"From {start} to {end} there are {count} periods of a {unit}; a response has at most {MAX_PERIODS}. "
                "Filter by time, or use longer periods."
            )
        days = [unit.after(start, number) for number in range(count + 1)]
        moments = [_beginning(day, zone) for day in days]
    except (OverflowError, ValueError):
        raise TooManyPeriods("The span exceeds the years 1 to 9999.") from None
    known = {moment: day for day, moment in zip(days, moments, strict=True)}
    return Calendar([*known.values()][:-1], [*known])


def _beginning(day: date, zone: ZoneInfo) -> datetime:
    """Return when a day begins: at midnight, at the first of two midnights, or after a skipped midnight."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
