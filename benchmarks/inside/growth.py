"""Fills a project's database and measures requests; takes numbers of notes, ascending, from the command line.

Prints a line of JSON for each case at each number: microseconds of processor time, this process's and the database's,
and statements. Needs no more than the tables of notes, tags and chat messages.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from app.main import create_app
from asking import Asker
from keel.caller import GUEST
from keel.db.database import Database
from keel.services import services_of
from keel.web.pagination import encode
from sqlalchemy import event, text

NOTES, ROOMS = "/api/v1/notes", "/api/v1/chat/rooms"
BATCHES, BATCH_SECONDS = 5, 0.2
ORDERS = ("created_at", "-created_at", "updated_at", "-updated_at", "title", "-title")
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
RARE = 20
"""Notes that have the rare tag and, but for those of earlier sizes, the rare word, however many there are."""

# Every second note is the caller's, the others' are between. A note's number is its time; titles have another order.
# One of the caller's notes in ten has the common tag.
NUMBERED = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i < :last)",
    "postgresql": "WITH n(i) AS (SELECT generate_series(CAST(:first AS bigint), CAST(:last AS bigint)))",
}
EXPRESSIONS = {
    "sqlite": {
        "id": "printf('%032x', i)",
        "moment": "strftime('%Y-%m-%d %H:%M:%S.000000', '2026-01-01', '+' || i || ' seconds')",
        "other_moment": "strftime('%Y-%m-%d %H:%M:%S.000000', '2026-06-01', '+' || (i * 7919 % 1000003) || ' seconds')",
        "title": "printf('Note %07d', i * 104729 % 2000003)",
        "uuid": ":{}",
    },
    "postgresql": {
        "id": "CAST(lpad(to_hex(i), 32, '0') AS uuid)",
        "moment": "timestamptz '2026-01-01 00:00Z' + i * interval '1 second'",
        "other_moment": "timestamptz '2026-06-01 00:00Z' + (i * 7919 % 1000003) * interval '1 second'",
        "title": "'Note ' || lpad(CAST(i * 104729 % 2000003 AS text), 7, '0')",
        "uuid": "CAST(:{} AS uuid)",
    },
}
ADD_NOTES = """
    INSERT INTO notes (id, owner_id, title, body, search_text, version, created_at, updated_at)
    {numbered} SELECT {id}, CASE WHEN i % 2 = 0 THEN :owner ELSE 'other-' || (i % 7) END, {title}, :body,
        {title} || ' ' || :body || CASE WHEN i % :rare = 0 THEN ' heron' ELSE '' END,
        1, {moment}, {other_moment} FROM n"""
TAG_NOTES = """
    INSERT INTO note_tags (note_id, tag_id) {numbered} SELECT {id}, {tag} FROM n WHERE i % :every = 0"""
ADD_MESSAGES = """
    INSERT INTO chat_messages (room_id, id, sender, client_id, body, sent_at)
    {numbered} SELECT {room}, i, 'sender-' || (i % 50), CAST(i AS {text}), :body, {moment} FROM n"""
BODY = "- measure the harbour\n- paint the station\n- count the notes\n"


class Store:
    """The database of an application, filled by statements of its own."""

    def __init__(self, database: Database) -> None:
        """Count what is read from now on."""
        self.database = database
        self.kind = database.writer.dialect.name
        self.statements = 0
        event.listen(database.reader.sync_engine, "before_cursor_execute", self._count)

    def _count(self, *_: Any) -> None:
        self.statements += 1

    async def fill(self, first: int, last: int, total: int, tags: dict[str, str], room: str) -> None:
        """Add the notes and messages from one number to another, of which there are to be `total` in the end."""
        expressions = EXPRESSIONS[self.kind]
        form = {**expressions, "numbered": NUMBERED[self.kind]}
        bounds = {"first": first, "last": last}
        every = {"common": 20, "rare": 2 * total // RARE}
        # Nothing ends this after a while, as it would a statement of a request.
        async with self.database.migrator().begin() as connection:
            # The rare ones are found anew among so many notes.
            await connection.execute(text("DELETE FROM note_tags"))
            await connection.execute(
                text(
                    "UPDATE notes SET search_text = replace(search_text, ' heron', '') WHERE search_text LIKE '% heron'"
                )
            )
            notes = {**bounds, "owner": GUEST.subject, "body": BODY, "rare": every["rare"]}
            await connection.execute(text(ADD_NOTES.format(**form)), notes)
            for name, tag in tags.items():
                statement = TAG_NOTES.format(**form, tag=expressions["uuid"].format("tag"))
                await connection.execute(
                    text(statement), {"first": 1, "last": last, "every": every[name], "tag": tag}
                )
            of = {"room": expressions["uuid"].format("room"), "text": "varchar"}
            await connection.execute(
                text(ADD_MESSAGES.format(**form, **of)), {**bounds, "body": BODY, "room": room}
            )
            setting = text("UPDATE chat_rooms SET last_message_id = :last")
            await connection.execute(setting, {"last": last})
            # PostgreSQL does so by itself after a while; SQLite never does.
            if self.kind == "postgresql":
                await connection.exec_driver_sql("ANALYZE")

    async def backends(self) -> list[Path]:
        """Return where the kernel counts the time of the database's processes: none if this is it, or none is here."""
        if self.kind != "postgresql":
            return []
        found = await self.database.read.all(
            text("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
        )
        return [path for (pid,) in found if (path := Path("/proc", str(pid), "schedstat")).exists()]


async def measure(asker: Asker, store: Store, target: str) -> dict[str, float]:
    """Return what a request costs: the least of some batches, in microseconds, and its statements."""
    for _ in range(3):
        await asker.ask("GET", target)
    before = store.statements
    await asker.ask("GET", target)
    statements = store.statements - before
    ours, theirs = [], []
    for _ in range(BATCHES):
        backends = await store.backends()
        spent, began, count = sum(map(_spent, backends)), time.process_time(), 0
        until = time.perf_counter() + BATCH_SECONDS
        while not count or time.perf_counter() < until:
            await asker.ask("GET", target)
            count += 1
        ours.append((time.process_time() - began) / count * 1e6)
        theirs.append((sum(map(_spent, backends)) - spent) / count / 1e3)
    return {"application": min(ours), "database": min(theirs), "statements": statements}


def _spent(schedstat: Path) -> int:
    """Return nanoseconds on a processor."""
    return int(schedstat.read_text().split()[0])


def cases(total: int, room: str, note: str) -> dict[str, str]:
    """Return what is asked for when the caller has so many notes."""
    # Half of the caller's notes are older.
    cursor = encode("-created_at", (FIRST + timedelta(seconds=total), "f" * 32))
    day = (FIRST + timedelta(seconds=total)).isoformat()
    lists = {
        "first page": {},
        "a page halfway down": {"cursor": cursor},
        **{f"sort={order}": {"sort": order} for order in ORDERS},
        "created before halfway": {"created_before": day},
        "a tag on one note in ten": {"tag": "common"},
        f"a tag on {RARE} notes": {"tag": "rare"},
        "search: a common word": {"q": "harbour"},
        f"search: a word in {RARE} notes": {"q": "heron"},
    }
    return {
        **{name: f"{NOTES}?{urlencode(query)}" for name, query in lists.items()},
        "one note": f"{NOTES}/{note}",
        "chat rooms": ROOMS,
        "newest messages": f"{ROOMS}/{room}/messages",
        "messages halfway up": f"{ROOMS}/{room}/messages?{urlencode({'cursor': encode('messages', (total, room))})}",
    }


@asynccontextmanager
async def running() -> AsyncGenerator[tuple[Asker, Store]]:
    """Run the application until the block ends."""
    app = create_app()
    async with app.router.lifespan_context(app):
        yield Asker(app), Store(services_of(app).database)


async def main(sizes: list[int]) -> None:
    """Fill, measure, print, for each size."""
    async with running() as (asker, store):
        first = await asker.json(
            "POST", NOTES, json.dumps({"title": "first", "tags": ["common", "rare"]}).encode()
        )
        rows = await store.database.read.all(text("SELECT name, id FROM tags"))
        tags = {name: str(id_) if store.kind == "postgresql" else id_ for name, id_ in rows}
        room = (await asker.json("POST", ROOMS, b'{"name": "Harbour"}'))["id"]
        stored = room if store.kind == "postgresql" else room.replace("-", "")
        have = 0
        for size in sizes:
            await store.fill(have + 1, 2 * size, size, tags, stored)
            have = 2 * size
            for name, target in cases(size, room, first["id"]).items():
                found = await measure(asker, store, target)
                line = {"rows": size, "case": name, **found}
                os.write(RESULTS, json.dumps(line).encode() + b"\n")


# The application's log goes to standard output, which is not read.
RESULTS = os.dup(1)
os.dup2(2, 1)

if __name__ == "__main__":
    asyncio.run(main([int(argument) for argument in sys.argv[1:]]))
