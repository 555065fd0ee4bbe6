"""Statistics equal those computed from the list with Python and pandas, for each filter."""

import math
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.examples.notes.statistics.schemas import StatisticsQuery, TimelineQuery
from app.examples.notes.statistics.service import StatisticsService
from keel.caller import Caller
from keel.db.database import Database
from keel.services import services_of
from tests.examples.notes.api import NOTES
from tests.examples.notes.statistics.data import STATISTICS, Sample, add, read

QUANTILES = {"p25": 25, "median": 50, "p75": 75, "p90": 90, "p99": 99}
FILTERS: list[dict[str, Any]] = [
    {},
    {"tag": "red"},
    {"tag": ["red", "blue"]},
    {"q": "crane"},
    {"created_from": "2026-03-20T00:00:00Z", "created_before": "2026-04-05T12:00:00Z"},
]


def samples() -> list[Sample]:
    """Return notes of six weeks around the start of summer time."""
    dice = random.Random(7)  # noqa: S311 - the same each time
    start = datetime(2026, 3, 10, tzinfo=UTC)
    return [
        Sample(
            created_at=start + timedelta(minutes=dice.randrange(60 * 24 * 42)),
            body=("crane " if dice.random() < 0.4 else "") + "ü🐘x"[: dice.randint(1, 3)] * dice.randint(0, 40),
            tags=dice.sample(["red", "blue", "green", "odd"], dice.randint(0, 3)),
        )
        for _ in range(60)
    ]


async def listed(client: AsyncClient, **query: Any) -> list[dict[str, Any]]:
    """Return all notes that match a query."""
    return (await client.get(NOTES, params={**query, "limit": 100})).json()["items"]


async def test_statistics_match_the_list(client: AsyncClient, database: Database) -> None:
    """Counts, tags, lengths and weekdays, for each time zone and filter."""
    await add(client, database, samples())
    for zone, query in product(["UTC", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Honolulu"], FILTERS):
        notes = await listed(client, **query)
        found = await read(client, tz=zone, **query)

        lengths = sorted(len(note["body"]) for note in notes)
        assert found["notes"] == len(notes) > 0
        assert found["untagged"] == sum(not note["tags"] for note in notes)
        uses = Counter(tag for note in notes for tag in note["tags"])
        assert {use["tag"]: use["notes"] for use in found["tags"]} == uses
        assert [use["notes"] for use in found["tags"]] == sorted(uses.values(), reverse=True)
        for use in found["tags"]:
            assert use["share"] == pytest.approx(use["notes"] / len(notes))
            assert use["rank"] == 1 + sum(other > use["notes"] for other in uses.values())
        expected = {name: lengths[math.ceil(len(lengths) * p / 100) - 1] for name, p in QUANTILES.items()}
        expected |= {"minimum": lengths[0], "maximum": lengths[-1]}
        assert found["lengths"].pop("mean") == pytest.approx(sum(lengths) / len(lengths))
        assert found["lengths"] == expected
        moments = [datetime.fromisoformat(note["created_at"]).astimezone(ZoneInfo(zone)) for note in notes]
        weekdays = Counter(moment.isoweekday() for moment in moments)
        assert {day["weekday"]: day["notes"] for day in found["weekdays"]} == {n: weekdays[n] for n in range(1, 8)}
        counts = [day["notes"] for day in found["weekdays"]]
        assert counts == sorted(counts, reverse=True)


async def test_timeline(client: AsyncClient, database: Database) -> None:
    """Periods have no gaps; moving averages and growth match pandas; filters apply."""
    await add(client, database, samples())
    for zone, unit, query in product(["UTC", "America/St_Johns"], ["day", "week", "month"], FILTERS[:4]):
        notes = await listed(client, **query)
        rows = await read(client, "/timeline", tz=zone, unit=unit, window=3, **query)

        local = pd.to_datetime([note["created_at"] for note in notes]).tz_convert(zone).tz_localize(None)
        counted = (
            pd.Series(1, index=local).groupby(local.to_period({"day": "D", "week": "W", "month": "M"}[unit])).sum()
        )
        every = counted.reindex(pd.period_range(counted.index.min(), counted.index.max()), fill_value=0)
        assert [row["period"] for row in rows] == [str(period.start_time.date()) for period in every.index]
        assert [row["notes"] for row in rows] == every.tolist()
        assert [row["moving_average"] for row in rows] == pytest.approx(every.rolling(3, min_periods=1).mean().tolist())
        growth = every.pct_change().replace([math.inf, -math.inf], math.nan)
        assert [row["growth"] for row in rows] == pytest.approx([None if pd.isna(g) else g for g in growth])
        assert sum(row["characters"] for row in rows) == sum(len(note["body"]) for note in notes)
        for row in rows:
            begins = datetime.fromisoformat(row["begins_at"]).astimezone(ZoneInfo(zone))
            assert (str(begins.date()), begins.hour, begins.minute) == (row["period"], 0, 0)


async def test_explicit_span(client: AsyncClient, database: Database) -> None:
    """The timeline covers the whole span, including empty periods and excluding its end."""
    await add(client, database, [Sample(datetime(2026, 5, 3, 12, tzinfo=UTC))])

    span = {"created_from": "2026-05-01T00:00:00Z", "created_before": "2026-05-06T00:00:00Z"}
    rows = await read(client, "/timeline", **span)

    assert [(row["period"], row["notes"]) for row in rows] == [
        (f"2026-05-0{day}", int(day == 3)) for day in range(1, 6)
    ]
    assert [row["growth"] for row in rows] == [None, None, None, -1.0, None]


async def test_no_notes(client: AsyncClient) -> None:
    """Statistics of no notes are zero or null; a timeline without notes and bounds has no periods."""
    found = await read(client)

    assert (found["notes"], found["untagged"], found["tags"]) == (0, 0, [])
    assert {*found["lengths"].values()} == {None}
    assert [day["notes"] for day in found["weekdays"]] == [0] * 7
    assert await read(client, "/timeline") == []
    assert await read(client, "/dataset") == []
    backwards = {"created_from": "2026-05-02T00:00:00Z", "created_before": "2026-05-01T00:00:00Z"}
    assert await read(client, "/timeline", **backwards) == []


async def test_top_tags(client: AsyncClient, database: Database) -> None:
    """`top` limits the tags; ranks and shares still refer to all."""
    now = datetime(2026, 5, 3, tzinfo=UTC)
    await add(client, database, [Sample(now, tags=["a", "b"]), Sample(now, tags=["a", "b"]), Sample(now, tags=["c"])])

    found = await read(client, top=2)

    assert [(use["tag"], use["rank"]) for use in found["tags"]] == [("a", 1), ("b", 1)]
    assert found["tags"][0]["share"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "query",
    [
        {"tz": "Mars/Olympus"},
        {"unit": "year"},
        {"window": 0},
        {"created_from": "2026-01-01"},
        {"sort": "title"},
        {"created_from": "0001-01-01T00:00:00Z", "created_before": "9999-12-31T00:00:00Z"},
        {"created_from": "9999-12-31T23:00:00Z", "created_before": "9999-12-31T23:30:00Z", "tz": "Asia/Tokyo"},
    ],
)
async def test_invalid_queries(client: AsyncClient, query: dict[str, Any]) -> None:
    """Unknown time zones, units and parameters, and spans out of range."""
    answer = await client.get(f"{STATISTICS}/timeline", params=query)

    assert answer.status_code == 422, answer.text


async def test_only_own_notes_are_counted(app: FastAPI, client: AsyncClient, database: Database) -> None:
    """Other callers' notes are not counted in any statistic."""
    await add(client, database, [Sample(datetime(2026, 5, 3, tzinfo=UTC), tags=["a"])])

    theirs = StatisticsService(Caller("another"), services_of(app))

    assert (await read(client))["notes"] == 1
    found = await theirs.statistics(StatisticsQuery())
    assert (found.notes, found.tags, found.lengths.maximum) == (0, [], None)
    start = datetime(2026, 5, 1, tzinfo=UTC)
    span = TimelineQuery(created_from=start, created_before=start + timedelta(days=4))
    assert [row.notes for row in await theirs.timeline(span)] == [0, 0, 0, 0]
    assert [rows async for rows in await theirs.dataset(StatisticsQuery())] == []
