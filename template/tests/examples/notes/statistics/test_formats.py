"""Statistics in other formats: the same numbers as in JSON."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from pyarrow import ipc, parquet

from app.examples.notes.statistics.schemas import DatasetRow
from keel.analytics.formats import Format
from keel.db.database import Database
from keel.services import services_of
from tests.examples.notes.api import create
from tests.examples.notes.statistics.data import STATISTICS, Sample, add, read

START = datetime(2026, 5, 3, tzinfo=UTC)


async def test_flat_formats(client: AsyncClient) -> None:
    """In formats without nesting, each number is a row."""
    await create(client, body="four", tags=["+tag"])

    answer = await client.get(STATISTICS, headers={"Accept": "text/csv"})
    split = await client.get(STATISTICS, headers={"Accept": Format.SPLIT})

    lines = [*csv.reader(io.StringIO(answer.text, newline=""))]
    assert lines[0] == ["measure", "key", "value"]
    assert lines[1:4] == [["notes", "", "1"], ["untagged", "", "0"], ["tag", "'+tag", "1"]]
    assert ["length", "median", "4"] in lines
    assert len(split.json()["data"]) == len(lines) - 1
    assert "Accept" in (await client.get(STATISTICS)).headers["Vary"]


async def test_timeline_as_file(client: AsyncClient, database: Database) -> None:
    """Parquet and Arrow have the columns' types."""
    await add(client, database, [Sample(START), Sample(START + timedelta(days=2), body="four")])
    rows = await read(client, "/timeline")

    parts = {}
    for format_ in (Format.PARQUET, Format.ARROW):
        parts[format_] = (await client.get(f"{STATISTICS}/timeline", headers={"Accept": format_})).content
    table = parquet.read_table(io.BytesIO(parts[Format.PARQUET]))

    assert table.equals(ipc.open_stream(parts[Format.ARROW]).read_all())
    assert [str(value) for value in table["period"].to_pylist()] == [row["period"] for row in rows]
    assert table["notes"].to_pylist() == [row["notes"] for row in rows]
    assert table["growth"].to_pylist() == [None, -1.0, None]
    assert table["begins_at"].to_pylist()[0] == START


@pytest.mark.parametrize("format_", [Format.RECORDS, Format.PARQUET])
async def test_dataset(app: FastAPI, client: AsyncClient, format_: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each note occurs once, oldest first, with any chunk size."""
    settings = services_of(app).analytics.settings.model_copy(update={"chunk_rows": 2})
    monkeypatch.setattr(services_of(app).analytics, "settings", settings)
    made = [await create(client, title=title, body="x" * 3, tags=["a", "b"]) for title in "abcde"]

    answer = await client.get(f"{STATISTICS}/dataset", headers={"Accept": format_})

    rows = (
        json.loads(answer.content)
        if format_ is Format.RECORDS
        else parquet.read_table(io.BytesIO(answer.content)).to_pylist()
    )
    assert [DatasetRow.model_validate(row).id.hex for row in rows] == [note["id"].replace("-", "") for note in made]
    assert {(row["characters"], row["tags"]) for row in rows} == {(3, 2)}
    assert [*rows[0]] == [*DatasetRow.model_fields]


async def test_too_large_dataset(app: FastAPI, client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before the first row; with a filter it is small enough."""
    settings = services_of(app).analytics.settings.model_copy(update={"max_rows": 1})
    monkeypatch.setattr(services_of(app).analytics, "settings", settings)
    for title in ("crane", "shed"):
        await create(client, title=title, body="")

    refused = await client.get(f"{STATISTICS}/dataset", headers={"Accept": "text/csv"})

    assert (refused.status_code, refused.json()["type"]) == (422, "urn:problem:too-many-rows")
    assert len(await read(client, "/dataset", q="crane")) == 1
