"""The rules of statistics: what is computed, what is cached, how large a response may be."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import TypeVar

from pydantic import TypeAdapter

from app.examples.notes.schemas import NoteFilter
from app.examples.notes.service import owner_tag
from app.examples.notes.statistics.repository import StatisticsRepository
from app.examples.notes.statistics.schemas import (
    Lengths,
    NoteStatistics,
    StatisticRow,
    StatisticsQuery,
    TagUse,
    TimelineQuery,
    TimelineRow,
    Weekday,
)
from keel.analytics.calendars import Unit, calendar
from keel.analytics.tables import TooManyRows
from keel.caller import Caller
from keel.db.database import AnyRow
from keel.services import Services

T = TypeVar("T")

TIMELINE: TypeAdapter[list[TimelineRow]] = TypeAdapter(list[TimelineRow])

_INSTANT = timedelta(microseconds=1)


class StatisticsService:
    """Numbers about a caller's notes."""

    def __init__(self, caller: Caller, services: Services) -> None:
        self._owner_id = caller.subject
        # Not a request's session: one computation may serve several requests.
        self._notes = StatisticsRepository(services.database.read, caller.subject)
        self._cache = services.cache
        self._settings = services.analytics.settings

    async def statistics(self, query: StatisticsQuery) -> NoteStatistics:
        """Return the statistics of the notes that match a query.

        Raises:
            TooManyPeriods: they were created over too many days.
        """
        return await self._cached(query, NoteStatistics, lambda: self._compute(query))

    async def timeline(self, query: TimelineQuery) -> list[TimelineRow]:
        """Return the periods from a query's start, or the first note, to its end.

        Raises:
            TooManyPeriods: there are too many.
        """
        return await self._cached(query, TIMELINE, lambda: self._compute_timeline(query))

    async def dataset(self, filter_: NoteFilter) -> AsyncGenerator[Sequence[AnyRow]]:
        """Return the notes, in chunks.

        Notes added meanwhile may be among them; none appears twice.

        Raises:
            TooManyRows: there are more than `ANALYTICS_MAX_ROWS`.
        """
        count, limit = (await self._notes.span(filter_)).notes, self._settings.max_rows
        if count > limit:
            raise TooManyRows(f"{count} notes exceed the limit of {limit} per response: filter by time.")
        return self._chunks(filter_)

    async def _chunks(self, filter_: NoteFilter) -> AsyncGenerator[Sequence[AnyRow]]:
        rows = await self._notes.dataset(filter_, None, self._settings.chunk_rows)
        while rows:
            yield rows
            after = (rows[-1].created_at, rows[-1].id)
            rows = await self._notes.dataset(filter_, after, self._settings.chunk_rows)

    async def _compute(self, query: StatisticsQuery) -> NoteStatistics:
        totals = await self._notes.totals(query)
        weekdays: Sequence[AnyRow] = ()
        if totals.notes:
            days = calendar(query.tz, Unit.DAY, totals.first, totals.last)
            weekdays = await self._notes.weekdays(query, days)
        return NoteStatistics(
            notes=totals.notes,
            untagged=totals.untagged,
            tags=[TagUse.model_validate(row) for row in await self._notes.tags(query, totals.notes, query.top)],
            lengths=Lengths.model_validate(await self._notes.lengths(query)),
            weekdays=[*_all_seven(weekdays)],
        )

    async def _compute_timeline(self, query: TimelineQuery) -> list[TimelineRow]:
        span = await self._notes.span(query)
        first = query.created_from or span.first
        last = query.created_before - _INSTANT if query.created_before else span.last
        if first is None or last is None or first > last:
            return []
        chosen = calendar(query.tz, query.unit, first, last)
        rows = await self._notes.timeline(query, chosen, query.window)
        periods = zip(chosen.days, rows, strict=True)
        return [
            TimelineRow(
                period=day,
                begins_at=row.beginning,
                notes=row.notes,
                characters=row.characters,
                moving_average=row.moving_average,
                growth=row.growth,
            )
            for day, row in periods
        ]

    async def _cached(
        self, query: NoteFilter, kind: type[T] | TypeAdapter[T], compute: Callable[[], Awaitable[T]]
    ) -> T:
        """Return the cached result of a query, or compute it.

        The key names the state of the notes, so numbers are never older than a change, even where several processes share
        no cache.
        """
        state = f"{type(query).__name__} {query.model_dump_json()} {await self._notes.fingerprint()}"
        return await self._cache.get_or_compute(
            f"notes:statistics:{self._owner_id}:{sha256(state.encode()).hexdigest()}",
            kind,
            compute,
            ttl=self._settings.cache_seconds,
            tags=[owner_tag(self._owner_id)],
        )


def to_rows(statistics: NoteStatistics) -> Iterator[StatisticRow]:
    """Yield the numbers one by one, for formats without nesting."""
    yield StatisticRow(measure="notes", key=None, value=statistics.notes)
    yield StatisticRow(measure="untagged", key=None, value=statistics.untagged)
    for use in statistics.tags:
        yield StatisticRow(measure="tag", key=use.tag, value=use.notes)
    for name, value in statistics.lengths:
        yield StatisticRow(measure="length", key=name, value=value)
    for day in statistics.weekdays:
        yield StatisticRow(measure="weekday", key=str(day.weekday), value=day.notes)


def _all_seven(found: Sequence[AnyRow]) -> Iterator[Weekday]:
    """Yield a row for each day of the week: a short span does not have all of them."""
    yield from map(Weekday.model_validate, found)
    for weekday in range(1, 8):
        if weekday not in {row.weekday for row in found}:
            yield Weekday(weekday=weekday, notes=0)
