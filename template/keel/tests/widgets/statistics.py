"""Widgets as tables: counts per day of creation, and all of them in chunks."""

from collections.abc import AsyncGenerator, Sequence
from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, FastAPI, Query, Response
from pydantic import BaseModel
from sqlalchemy import func, select

from keel.analytics.calendars import TimeZone, TooManyPeriods, Unit, calendar
from keel.analytics.functions import periods
from keel.analytics.tables import TablesDep, table_responses
from keel.clock import UtcDatetime
from keel.db.database import AnyRow, ReadSession
from keel.dependencies import ReadSessionDep
from keel.identity import RESPONSES
from keel.tests.widgets.dependencies import ReaderDep
from keel.tests.widgets.models import Widget
from keel.web.errors import responses

CHUNK = 2

router = APIRouter(prefix="/widgets/statistics", tags=["widgets"], responses=RESPONSES)


class Day(BaseModel):
    """A period, and the number of widgets created in it."""

    period: date
    widgets: int


class WidgetRow(BaseModel):
    """A widget."""

    id: UUID
    title: str


class Span(BaseModel, extra="forbid"):
    """The requested periods."""

    tz: TimeZone
    unit: Unit = Unit.DAY
    first: UtcDatetime
    last: UtcDatetime


@router.get("", response_model=list[Day], responses={**table_responses(Day), **responses(TooManyPeriods)})
async def widget_days(
    span: Annotated[Span, Query()], session: ReadSessionDep, caller: ReaderDep, tables: TablesDep
) -> Response:
    """Count widgets by periods."""
    days = calendar(span.tz, span.unit, span.first, span.last)
    each = periods(days.boundaries)
    widgets = select(func.count(Widget.id)).where(
        Widget.owner_id == caller.subject,
        Widget.created_at >= each.c.beginning,
        Widget.created_at < each.c.ending,
    )
    columns = (each.c.position, each.c.beginning, widgets.scalar_subquery().label("widgets"))
    rows = await session.all(select(*columns).order_by(each.c.position))
    assert [row.beginning for row in rows] == days.boundaries[:-1]
    found = [Day(period=day, widgets=row.widgets) for day, row in zip(days.days, rows, strict=True)]
    return await tables.respond(Day, found, "days")


@router.get("/rows", response_model=list[WidgetRow], responses=table_responses(WidgetRow))
async def widget_rows(session: ReadSessionDep, caller: ReaderDep, tables: TablesDep) -> Response:
    """Stream all widgets."""
    return await tables.stream(WidgetRow, _chunks(session, caller.subject), "widgets")


async def _chunks(session: ReadSession, owner: str) -> AsyncGenerator[Sequence[AnyRow]]:
    owned = select(Widget.__table__).where(Widget.owner_id == owner).order_by(Widget.id).limit(CHUNK)
    after = UUID(int=0)
    while rows := await session.all(owned.where(Widget.id > after)):
        yield rows
        after = rows[-1].id


def install(app: FastAPI) -> None:
    """Add the endpoints."""
    app.include_router(router, prefix="/api/v1")
