"""What callers send and get."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from app.examples.notes.schemas import NoteFilter
from keel.analytics.calendars import TimeZone, Unit

UTC = ZoneInfo("UTC")


class StatisticsQuery(NoteFilter):
    """Which notes are counted, and whose days the weekdays are."""

    tz: Annotated[TimeZone, Field(description="Time zone of the weekdays")] = UTC
    top: Annotated[int, Field(ge=1, le=100, description="Tags at most, the most used first")] = 20


class TimelineQuery(NoteFilter):
    """Which notes are counted, by periods of which length."""

    tz: Annotated[TimeZone, Field(description="Time zone in which days begin")] = UTC
    unit: Unit = Unit.DAY
    window: Annotated[int, Field(ge=1, le=90, description="Periods of the moving average")] = 7


class TagUse(BaseModel):
    """How many notes have a tag."""

    model_config = ConfigDict(from_attributes=True)

    tag: str
    notes: int
    share: float
    """Of the notes: from 0 to 1."""
    rank: int
    """From 1; tags of as many notes share one."""


class Lengths(BaseModel):
    """Characters of bodies; null if there are no notes. A quantile is the length of a note that exists."""

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
    """A number of the statistics, where they are a table."""

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
    """Of the bodies of its notes."""
    moving_average: float
    """Notes in a period, on average of this one and those before it, as many as the window has."""
    growth: float | None
    """Notes against the period before: 0.5 is half as many again; null if there were none."""


class DatasetRow(BaseModel):
    """A note, for an analysis elsewhere."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    characters: int
    """Of the body."""
    tags: int
    """How many."""
    version: int
    created_at: datetime
    updated_at: datetime
