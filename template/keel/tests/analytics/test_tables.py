"""Tables over HTTP: formats, headers and OpenAPI content; periods counted by the database."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from pyarrow import ipc, parquet
from sqlalchemy import update

from keel.analytics.formats import Format
from keel.db.database import Database
from keel.tests.widgets.api import WIDGETS, create
from keel.tests.widgets.models import Widget

STATISTICS = f"{WIDGETS}/statistics"


def rows(answer: Response) -> list[dict[str, Any]]:
    """Return the rows of a response in any format."""
    kind, _, parameters = answer.headers["Content-Type"].partition(";")
    if kind == Format.CSV:
        return [*csv.DictReader(io.StringIO(answer.text, newline=""))]
    if kind == Format.PARQUET:
        return parquet.read_table(io.BytesIO(answer.content)).to_pylist()
    if kind == Format.ARROW:
        return ipc.open_stream(answer.content).read_all().to_pylist()
    found = json.loads(answer.content)
    return [dict(zip(found["columns"], row, strict=True)) for row in found["data"]] if "split" in parameters else found


@pytest.mark.parametrize("format_", Format)
async def test_each_format(client: AsyncClient, format_: Format) -> None:
    """A table streamed in chunks of two has each row once; `Vary` separates the formats in caches."""
    made = [await create(client, title) for title in "abcde"]

    answer = await client.get(f"{STATISTICS}/rows", headers={"Accept": format_})

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == format_.content_type
    assert "Accept" in answer.headers["Vary"]
    assert rows(answer) == [{"id": widget["id"], "title": widget["title"]} for widget in made]
    assert (f'filename="widgets{format_.extension}"' in answer.headers.get("Content-Disposition", "")) == bool(
        format_.extension
    )


async def test_no_acceptable_format(client: AsyncClient) -> None:
    """The response is a problem document that lists the formats."""
    answer = await client.get(f"{STATISTICS}/rows", headers={"Accept": "text/html"})

    assert answer.status_code == 406
    assert answer.json()["type"] == "urn:problem:not-acceptable"
    assert answer.json()["offered"] == [*Format]
    assert "Accept" in answer.headers["Vary"]


async def test_openapi_lists_formats(app: FastAPI) -> None:
    """OpenAPI documents each format, and status 406."""
    responses = app.openapi()["paths"][f"{STATISTICS}/rows"]["get"]["responses"]

    assert {*responses["200"]["content"]} == {*Format}
    assert "406" in responses


async def test_periods(client: AsyncClient, database: Database) -> None:
    """Periods include their start and exclude their end; empty periods are listed, too."""
    midnight = datetime(2026, 3, 28, 23, tzinfo=UTC)  # start of the 29th in Berlin, a day of 23 hours
    instant = timedelta(microseconds=1)
    moments = [midnight - instant, midnight, midnight + timedelta(hours=23) - instant, midnight + timedelta(hours=23)]
    for moment in moments:
        await _move(database, (await create(client))["id"], moment)

    span = {"tz": "Europe/Berlin", "first": "2026-03-27T12:00:00Z", "last": "2026-03-31T12:00:00Z"}
    answer = await client.get(STATISTICS, params=span)

    assert answer.json() == [
        {"period": "2026-03-27", "widgets": 0},
        {"period": "2026-03-28", "widgets": 1},
        {"period": "2026-03-29", "widgets": 2},
        {"period": "2026-03-30", "widgets": 1},
        {"period": "2026-03-31", "widgets": 0},
    ]


async def _move(database: Database, widget_id: str, moment: datetime) -> None:
    async with database.transaction() as session:
        await session.execute(update(Widget).where(Widget.id == UUID(widget_id)).values(created_at=moment))
