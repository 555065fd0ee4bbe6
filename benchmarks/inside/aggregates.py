"""Statistics of notes in this process: by the endpoints, from the list in Python, by SQL that was written by hand."""

import asyncio
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from random import Random
from typing import Any
from uuid import UUID

from app.examples.notes.models import Note, Tag, note_tags
from app.main import create_app
from asking import Asker
from keel.services import services_of
from sqlalchemy import insert, text

OWNER, OTHERS = "guest", 9
ZONE, OFFSET = "Asia/Kathmandu", timedelta(minutes=345)  # has no summer time, so a by-hand offset is right
DAYS = 365
TAGS = [f"tag-{number}" for number in range(20)]
PERCENT = (25, 50, 75, 90, 99)
BATCH = 5000
QUERY = f"tz={ZONE}&top=20"

Numbers = dict[str, Any]

TAG_USE = """
SELECT tags.name, count(*) FROM notes JOIN note_tags ON note_id = notes.id JOIN tags ON tags.id = tag_id
WHERE notes.owner_id = 'guest' GROUP BY tags.id, tags.name ORDER BY 2 DESC, tags.id LIMIT 20
"""
POSTGRESQL = {
    "numbers": """
SELECT count(*), count(*) FILTER (WHERE NOT EXISTS (SELECT FROM note_tags WHERE note_id = notes.id)),
    percentile_disc(ARRAY[0.25, 0.5, 0.75, 0.9, 0.99]) WITHIN GROUP (ORDER BY length(body)), avg(length(body))::float
FROM notes WHERE owner_id = 'guest'
""",
    "tags": TAG_USE,
    "weekdays": """
SELECT extract(isodow FROM created_at AT TIME ZONE 'Asia/Kathmandu')::int, count(*)
FROM notes WHERE owner_id = 'guest' GROUP BY 1
""",
    "timeline": """
WITH counted AS (
    SELECT (created_at AT TIME ZONE 'Asia/Kathmandu')::date AS day, count(*) AS notes, sum(length(body)) AS characters
    FROM notes WHERE owner_id = 'guest' GROUP BY 1
), days AS (
    SELECT generate_series(min(day), max(day), '1 day')::date AS day FROM counted
), filled AS (
    SELECT day, coalesce(notes, 0) AS notes, coalesce(characters, 0) AS characters
    FROM days LEFT JOIN counted USING (day)
)
SELECT notes, characters, (avg(notes) OVER (ORDER BY day ROWS 6 PRECEDING))::float,
    notes::float / nullif(lag(notes) OVER (ORDER BY day), 0) - 1
FROM filled ORDER BY day
""",
}
SQLITE = {
    "numbers": """
WITH ranked AS (
    SELECT length(body) AS length, row_number() OVER (ORDER BY length(body)) AS rank, count(*) OVER () AS total
    FROM notes WHERE owner_id = 'guest'
)
SELECT count(*), (SELECT count(*) FROM notes WHERE owner_id = 'guest' AND NOT EXISTS
        (SELECT 1 FROM note_tags WHERE note_id = notes.id)),
    json_array(min(length) FILTER (WHERE rank * 100 >= total * 25), min(length) FILTER (WHERE rank * 100 >= total * 50),
        min(length) FILTER (WHERE rank * 100 >= total * 75), min(length) FILTER (WHERE rank * 100 >= total * 90),
        min(length) FILTER (WHERE rank * 100 >= total * 99)), avg(length)
FROM ranked
""",
    "tags": TAG_USE,
    "weekdays": """
SELECT (strftime('%w', created_at, '+345 minutes') + 6) % 7 + 1, count(*) FROM notes WHERE owner_id = 'guest' GROUP BY 1
""",
    "timeline": """
WITH RECURSIVE counted AS (
    SELECT date(created_at, '+345 minutes') AS day, count(*) AS notes, sum(length(body)) AS characters
    FROM notes WHERE owner_id = 'guest' GROUP BY 1
), days AS (
    SELECT (SELECT min(day) FROM counted) AS day
    UNION ALL SELECT date(day, '+1 day') FROM days WHERE day < (SELECT max(day) FROM counted)
), filled AS (
    SELECT days.day, coalesce(notes, 0) AS notes, coalesce(characters, 0) AS characters
    FROM days LEFT JOIN counted USING (day)
)
SELECT notes, characters, avg(notes) OVER (ORDER BY day ROWS 6 PRECEDING),
    CAST(notes AS REAL) / nullif(lag(notes) OVER (ORDER BY day), 0) - 1
FROM filled ORDER BY day
""",
}


async def fill(database: Any, notes: int) -> None:
    """Add notes of the owner, and as many of each of nine others."""
    dice = Random(0)  # noqa: S311 - the same each time
    start = datetime(2025, 3, 1, tzinfo=UTC)
    owners = [OWNER, *(f"other-{number}" for number in range(OTHERS))]
    async with database.transaction() as session:
        for place, owner in enumerate(owners):
            tags = [
                {"id": UUID(int=place << 64 | n), "owner_id": owner, "name": name}
                for n, name in enumerate(TAGS, 1)
            ]
            await session.execute(insert(Tag), tags)
            for begin in range(0, notes, BATCH):
                rows, pairs = [], []
                for number in range(begin, min(begin + BATCH, notes)):
                    moment = start + timedelta(minutes=dice.randrange(DAYS * 1440))
                    id_ = UUID(int=place << 96 | 1 << 80 | number)
                    body = "word " * dice.randrange(200)
                    rows.append(
                        {
                            "id": id_,
                            "owner_id": owner,
                            "title": "A title",
                            "body": body,
                            "search_text": "a title",
                            "version": 1,
                        }
                        | {"created_at": moment, "updated_at": moment}
                    )
                    pairs += [
                        {"note_id": id_, "tag_id": tag["id"]} for tag in dice.sample(tags, dice.randrange(4))
                    ]
                await session.execute(insert(Note), rows)
                await session.execute(insert(note_tags), pairs)
        await session.execute(text("ANALYZE"))


async def by_endpoint(asker: Asker, services: Any) -> Numbers:
    """Ask the API, with nothing in the cache."""
    await services.cache.clear()
    found = json.loads(await asker.ask("GET", f"/api/v1/notes/statistics?{QUERY}"))
    rows = json.loads(await asker.ask("GET", f"/api/v1/notes/statistics/timeline?tz={ZONE}"))
    lengths = found["lengths"]
    return {
        "numbers": [
            found["notes"],
            found["untagged"],
            [lengths[n] for n in ("p25", "median", "p75", "p90", "p99")],
        ],
        "mean": lengths["mean"],
        "tags": {use["tag"]: use["notes"] for use in found["tags"]},
        "weekdays": {day["weekday"]: day["notes"] for day in found["weekdays"]},
        "timeline": [[row[n] for n in ("notes", "characters", "moving_average", "growth")] for row in rows],
    }


async def by_list(asker: Asker) -> Numbers:
    """Read all pages of the list, and count in Python."""
    notes, cursor = [], ""
    while cursor is not None:
        page = json.loads(await asker.ask("GET", f"/api/v1/notes?limit=100{cursor and f'&cursor={cursor}'}"))
        notes += page["items"]
        cursor = page["next"]
    lengths = sorted(len(note["body"]) for note in notes)
    moments = [datetime.fromisoformat(note["created_at"]).astimezone(timezone(OFFSET)) for note in notes]
    daily, characters = Counter(moment.date() for moment in moments), Counter[date]()
    for note, moment in zip(notes, moments, strict=True):
        characters[moment.date()] += len(note["body"])
    days = [min(daily) + timedelta(days=n) for n in range((max(daily) - min(daily)).days + 1)]
    counts = [daily[day] for day in days]
    growth = [None, *(after / before - 1 if before else None for before, after in pairwise(counts))]
    averages = [sum(counts[max(0, n - 6) : n + 1]) / min(n + 1, 7) for n in range(len(counts))]
    quantiles = [lengths[math.ceil(len(lengths) * percent / 100) - 1] for percent in PERCENT]
    return {
        "numbers": [len(notes), sum(not note["tags"] for note in notes), quantiles],
        "mean": sum(lengths) / len(lengths),
        "tags": dict(Counter(tag for note in notes for tag in note["tags"])),
        "weekdays": dict(Counter(moment.isoweekday() for moment in moments)),
        "timeline": [
            *map(list, zip(counts, (characters[day] for day in days), averages, growth, strict=True))
        ],
    }


async def by_hand(engine: Any) -> Numbers:
    """Run statements that were written for this database, by its driver."""
    statements = SQLITE if engine.dialect.name == "sqlite" else POSTGRESQL
    found: dict[str, list[Any]] = {}
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        for name, statement in statements.items():
            found[name] = await (
                _sqlite(driver, statement) if statements is SQLITE else driver.fetch(statement)
            )
    count, untagged, quantiles, mean = found["numbers"][0]
    quantiles = json.loads(quantiles) if isinstance(quantiles, str) else [int(each) for each in quantiles]
    return {
        "numbers": [count, untagged, quantiles],
        "mean": mean,
        "tags": {name: notes for name, notes in found["tags"]},  # noqa: C416 - rows are no pairs
        "weekdays": {day: notes for day, notes in found["weekdays"]},  # noqa: C416 - rows are no pairs
        "timeline": [list(row) for row in found["timeline"]],
    }


async def _sqlite(driver: Any, statement: str) -> Iterable[Any]:
    return await driver.execute_fetchall(statement)


async def main(notes: int, rounds: int) -> None:
    """Fill the database, then take turns; print the seconds of each."""
    app = create_app()
    async with app.router.lifespan_context(app):
        services = services_of(app)
        await fill(services.database, notes)
        asker = Asker(app)
        ways: dict[str, Callable[[], Awaitable[Numbers]]] = {
            "endpoint": lambda: by_endpoint(asker, services),
            "by hand": lambda: by_hand(services.database.reader),
            "list": lambda: by_list(asker),
        }
        answers = {name: await way() for name, way in ways.items()}
        for one, other in pairwise(answers.values()):
            if _rounded(one) != _rounded(other):
                raise RuntimeError(f"the numbers differ: {one} {other}")
        seconds: dict[str, list[float]] = {name: [] for name in (*ways, "cached")}
        for _ in range(rounds):
            for name, way in ways.items():
                seconds[name].append(await _timed(way))
            await by_endpoint(asker, services)
            seconds["cached"].append(
                await _timed(lambda: asker.ask("GET", f"/api/v1/notes/statistics?{QUERY}"))
            )
    sys.stdout.write(json.dumps(seconds))


def _rounded(numbers: Numbers) -> Numbers:
    days = [[None if each is None else round(each, 9) for each in day] for day in numbers["timeline"]]
    return {
        "numbers": numbers["numbers"],
        "mean": round(numbers["mean"], 9),
        "tags": sorted(numbers["tags"].items()),
        "weekdays": sorted(numbers["weekdays"].items()),
        "timeline": days,
    }


async def _timed(way: Callable[[], Awaitable[Any]]) -> float:
    begun = time.perf_counter()
    await way()
    return time.perf_counter() - begun


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
