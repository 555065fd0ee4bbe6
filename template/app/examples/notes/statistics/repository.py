"""Queries: each database computes the same numbers, and an index finds the notes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CTE, BigInteger, Double, Label, cast, func, select, tuple_

from app.examples.notes.models import Note, Tag, note_tags
from app.examples.notes.repository import matching
from app.examples.notes.schemas import NoteFilter
from keel.analytics.calendars import Calendar
from keel.analytics.functions import periods
from keel.db.database import AnyRow, ReadSession

QUANTILES = {"p25": 25, "median": 50, "p75": 75, "p90": 90, "p99": 99}
"""Percent by name."""

_length = func.length(Note.body)


class StatisticsRepository:
    """Reads numbers about an owner's notes."""

    def __init__(self, session: ReadSession, owner_id: str) -> None:
        self._session = session
        self._owner_id = owner_id

    async def fingerprint(self) -> AnyRow | None:
        """Return the number of notes and the time of the latest change, which differ whenever a note changes."""
        owned = Note.owner_id == self._owner_id
        return await self._session.first(select(func.count(), func.max(Note.updated_at)).where(owned))

    async def span(self, filter_: NoteFilter) -> AnyRow:
        """Return how many notes there are, and when the first and the last one were created."""
        notes = self._matching(filter_)
        (row,) = await self._session.all(select(*_span(notes)))
        return row

    async def totals(self, filter_: NoteFilter) -> AnyRow:
        """Return the same, and how many of the notes have no tag."""
        notes = self._matching(filter_)
        tagged = select(note_tags.c.note_id).where(note_tags.c.note_id == notes.c.id).exists()
        # As a condition on rows, PostgreSQL would join the tags of all callers.
        (row,) = await self._session.all(select(*_span(notes), func.count().filter(~tagged).label("untagged")))
        return row

    async def tags(self, filter_: NoteFilter, notes: int, limit: int) -> Sequence[AnyRow]:
        """Return tags by how many of the notes have them: a join, an aggregate, and a window over the groups."""
        matched = self._matching(filter_)
        use = func.count()
        statement = (
            select(
                Tag.name.label("tag"),
                use.label("notes"),
                (cast(use, Double) / notes).label("share"),
                func.rank().over(order_by=use.desc()).label("rank"),
            )
            .select_from(matched)
            .join(note_tags, note_tags.c.note_id == matched.c.id)
            .join(Tag, Tag.id == note_tags.c.tag_id)
            .group_by(Tag.id, Tag.name)
            # Not by name: databases disagree on which comes first.
            .order_by(use.desc(), Tag.id)
            .limit(limit)
        )
        return await self._session.all(statement)

    async def lengths(self, filter_: NoteFilter) -> AnyRow | None:
        """Return the distribution of lengths.

        A quantile is the smallest length that this share of notes does not exceed. Lengths are counted, then accumulated:
        there are fewer of them than notes to sort, and SQLite has no `percentile_disc`.
        """
        notes = self._matching(filter_)
        by_length = select(notes.c.length, func.count().label("notes")).group_by(notes.c.length).cte("by_length")
        length, count = by_length.c.length, by_length.c.notes
        running = select(
            length,
            count,
            func.sum(count).over(order_by=length).label("until"),
            func.sum(count).over().label("total"),
        ).cte("running")
        until, total = running.c.until, running.c.total
        quantiles = (
            func.min(running.c.length).filter(until * 100 >= total * percent).label(name)
            for name, percent in QUANTILES.items()
        )
        return await self._session.first(
            select(
                func.min(running.c.length).label("minimum"),
                (cast(func.sum(running.c.length * running.c.notes), Double) / func.max(total)).label("mean"),
                *quantiles,
                func.max(running.c.length).label("maximum"),
            )
        )

    async def weekdays(self, filter_: NoteFilter, days: Calendar) -> Sequence[AnyRow]:
        """Return how many notes were created on each day of the week, the most active first."""
        daily = self._counted(filter_, days, func.count(Note.id).label("notes"))
        weekday = ((daily.c.position + days.days[0].weekday()) % 7 + 1).label("weekday")
        notes = cast(func.sum(daily.c.notes), BigInteger).label("notes")
        return await self._session.all(select(weekday, notes).group_by(weekday).order_by(notes.desc(), weekday))

    async def timeline(self, filter_: NoteFilter, calendar: Calendar, window: int) -> Sequence[AnyRow]:
        """Return the numbers of each period, with those of the periods before it: windows over rows."""
        characters = cast(func.coalesce(func.sum(_length), 0), BigInteger).label("characters")
        counted = self._counted(filter_, calendar, func.count(Note.id).label("notes"), characters)
        notes = cast(counted.c.notes, Double)
        before = func.lag(notes).over(order_by=counted.c.position)
        return await self._session.all(
            select(
                counted,
                func.avg(notes).over(order_by=counted.c.position, rows=(1 - window, 0)).label("moving_average"),
                ((notes - before) / func.nullif(before, 0.0)).label("growth"),
            ).order_by(counted.c.position)
        )

    async def dataset(self, filter_: NoteFilter, after: tuple[datetime, UUID] | None, limit: int) -> Sequence[AnyRow]:
        """Return notes in order of creation, after a given one."""
        tags = select(func.count()).where(note_tags.c.note_id == Note.id).scalar_subquery()
        columns = (Note.id, Note.title, _length.label("characters"), tags.label("tags"), Note.version)
        statement = (
            select(*columns, Note.created_at, Note.updated_at)
            .where(Note.owner_id == self._owner_id, *matching(filter_))
            .order_by(Note.created_at, Note.id)
            .limit(limit)
        )
        if after:
            statement = statement.where(tuple_(Note.created_at, Note.id) > tuple_(*after))
        return await self._session.all(statement)

    def _matching(self, filter_: NoteFilter) -> CTE:
        columns = (Note.id, Note.created_at, _length.label("length"))
        return select(*columns).where(Note.owner_id == self._owner_id, *matching(filter_)).cte("matching")

    def _counted(self, filter_: NoteFilter, calendar: Calendar, *columns: Label[Any]) -> CTE:
        """Return aggregates of the notes of each period, including empty periods."""
        each = periods(calendar.boundaries)
        within = (
            Note.owner_id == self._owner_id,
            Note.created_at >= each.c.beginning,
            Note.created_at < each.c.ending,
            *matching(filter_),
        )
        found = [select(column).where(*within).scalar_subquery().label(column.name) for column in columns]
        # Materialised, or each reference to a column would count again.
        return select(each.c.position, each.c.beginning, *found).cte("counted").prefix_with("MATERIALIZED")


def _span(notes: CTE) -> tuple[Label[Any], ...]:
    moment = notes.c.created_at
    return func.count(notes.c.id).label("notes"), func.min(moment).label("first"), func.max(moment).label("last")
