"""HTTP for statistics."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response, Security

from app.examples.notes.schemas import NoteFilter
from app.examples.notes.statistics.schemas import (
    DatasetRow,
    NoteStatistics,
    StatisticRow,
    StatisticsQuery,
    TimelineQuery,
    TimelineRow,
)
from app.examples.notes.statistics.service import StatisticsService, to_rows
from keel.analytics.calendars import TooManyPeriods
from keel.analytics.formats import Format
from keel.analytics.tables import TablesDep, TooManyRows, table_responses
from keel.caller import Caller
from keel.dependencies import ServicesDep
from keel.identity import RESPONSES, current_caller
from keel.web import errors
from keel.web.concurrency import Counted

router = APIRouter(prefix="/notes/statistics", tags=["notes"], responses=RESPONSES)

TOO_LONG = errors.responses(TooManyPeriods)


async def get_statistics(
    caller: Annotated[Caller, Security(current_caller, scopes=["notes:read"])], services: ServicesDep
) -> StatisticsService:
    """Return the service."""
    return StatisticsService(caller, services)


StatisticsDep = Annotated[StatisticsService, Depends(get_statistics)]


@router.get("", response_model=NoteStatistics, responses={**table_responses(StatisticRow), **TOO_LONG})
async def read_statistics(
    query: Annotated[StatisticsQuery, Query()], statistics: StatisticsDep, tables: TablesDep, response: Response
) -> NoteStatistics | Response:
    """Read statistics of your notes: how many, which tags, how long, and on which days you write most.

    It takes the filters of the list. As JSON it is one object; in other formats, a table with a row for each number.
    """
    found = await statistics.statistics(query)
    if tables.format is Format.RECORDS:
        response.headers.update(tables.headers("statistics"))
        return found
    return await tables.respond(StatisticRow, [*to_rows(found)], "statistics")


@router.get("/timeline", response_model=list[TimelineRow], responses={**table_responses(TimelineRow), **TOO_LONG})
async def read_timeline(
    query: Annotated[TimelineQuery, Query()], statistics: StatisticsDep, tables: TablesDep
) -> Response:
    """Read a timeline: how many notes you created in each day, week or month, with a moving average and the growth.

    Periods without notes are included. It takes the filters of the list.
    """
    return await tables.respond(TimelineRow, await statistics.timeline(query), "timeline")


@router.get(
    "/dataset",
    response_model=list[DatasetRow],
    responses={**table_responses(DatasetRow), **errors.responses(TooManyRows)},
)
async def read_dataset(
    filter_: Annotated[NoteFilter, Query()], statistics: StatisticsDep, tables: TablesDep, _: Counted
) -> Response:
    """Read one row per note, oldest first: for a notebook or a spreadsheet."""
    return await tables.stream(DatasetRow, await statistics.dataset(filter_), "notes")
