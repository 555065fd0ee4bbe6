"""Request and response models."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from app.examples.notes.schemas import NoteFilter
from keel.analytics.calendars import TimeZone, Unit

UTC = ZoneInfo("UTC")


class StatisticsQuery(NoteFilter):
    """Which notes are counted, and the time zone of weekdays."""

    tz: Annotated[TimeZone, Field(description="Time zone of the weekdays")] = UTC
    top: Annotated[int, Field(ge=1, le=100, description="The most tags to return, most used first")] = 20


class TimelineQuery(NoteFilter):
    """Which notes are counted, and the length of periods."""

    tz: Annotated[TimeZone, Field(description="Time zone in which days begin")] = UTC
    unit: Unit = Unit.DAY
    window: Annotated[int, Field(ge=1, le=90, description="Periods of the moving average")] = 7


class TagUse(BaseModel):
    """How many notes have a tag."""

    model_config = ConfigDict(from_attributes=True)

    tag: str
    notes: int
    share: float
    """A fraction of the notes, from 0 to 1."""
    rank: int
    """From 1; tags with equally many notes share a rank."""


class Lengths(BaseModel):
    """Characters of bodies; null if there are no notes. A quantile is the length of an actual note."""

    model_config = ConfigDict(from_attributes=True)

    minimum: int | None
    mean: float | None
    p25: int | None
    median: int | None
    p75: int | None
    p90: int | None
    p99: int | None
    maximum: int | None


class Weekday(BaseModel):
    """How many notes were created on a day of the week."""

    model_config = ConfigDict(from_attributes=True)

    weekday: int
    """From 1, Monday, to 7, Sunday (ISO 8601)."""
    notes: int


class NoteStatistics(BaseModel):
    """Notes in numbers."""

    notes: int
    untagged: int
    tags: list[TagUse]
    lengths: Lengths
    weekdays: list[Weekday]
    """All seven, the most active first."""


class StatisticRow(BaseModel):
    """One number of the statistics, as a row of a table."""

    measure: str
    """`notes`, `untagged`, `tag`, `length` or `weekday`."""
    key: str | None
    value: float | None


class TimelineRow(BaseModel):
    """A period."""

    model_config = ConfigDict(from_attributes=True)

    period: date
    """Its first day."""
    begins_at: datetime
    notes: int
    characters: int
    """Total length of the bodies of its notes."""
    moving_average: float
    """Average notes per period, over the window of periods that ends with this one."""
    growth: float | None
    """Change from the period before: 0.5 means 50 % more; null if that had no notes."""


class DatasetRow(BaseModel):
    """One note, for analysis elsewhere."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    characters: int
    """Length of the body."""
    tags: int
    """Number of tags."""
    version: int
    created_at: datetime
    updated_at: datetime
