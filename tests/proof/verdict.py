"""The reckoning: what was promised against what the database holds, and what clients saw against what they may see."""

from __future__ import annotations

import json
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING

from tests.proof.notes import TASKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from tests.proof.chat import ChatClient
    from tests.proof.faults import Window
    from tests.proof.front import Front
    from tests.proof.notes import Account

SLACK = 3.0
"""Seconds after a fault within which what it led to may still arrive."""

GROWTH = 1.25
"""How much more than at first a process may have in memory at last."""

Memory = dict[str, list[float]]
"""By role, what its largest process had, one number a second."""


async def notes(database: asyncpg.Connection, accounts: Sequence[Account]) -> list[str]:
    """Every acknowledged note is as it was acknowledged, and nothing is there that was not requested."""
    rows = {str(row["id"]): row for row in await database.fetch("SELECT id, title, body FROM notes")}
    wrong = [text for account in accounts for text in account.wrong]
    known: set[str] = set()
    maybe: set[str] = set()
    for account in accounts:
        maybe |= account.maybe
        known |= account.notes.keys()
        for note, allowed in account.notes.items():
            body = rows[note]["body"] if note in rows else None
            if body not in allowed:
                wrong.append(f"note {note}: {body!r}, but acknowledged was {allowed}")
    wrong += [
        f"stored, but not requested: {row['title']!r}"
        for note, row in rows.items()
        if note not in known and row["title"] not in maybe
    ]
    titles = Counter(row["title"] for row in rows.values())
    return wrong + [f"{title!r} is there {count} times" for title, count in titles.items() if count > 1]


def events(accounts: Sequence[Account]) -> list[str]:
    """Every subscriber has received every note, or was told afterwards to read the list again."""
    wrong: list[str] = []
    for account in accounts:
        for name, listener in account.listeners.items():
            last = max(listener.resets, default=0.0)
            heard = listener.created
            missed = [note for note, at in account.created.items() if note not in heard and at > last]
            if missed:
                wrong.append(
                    f"{account.name} heard by {name} of {len(heard)} notes, not of {len(missed)}, "
                    "and was told nothing"
                )
    return wrong


async def chat(database: asyncpg.Connection, chat_clients: Sequence[ChatClient]) -> list[str]:
    """Every message is stored once and delivered once to every client of its room, in one order."""
    wrong: list[str] = []
    for room in {each.room for each in chat_clients}:
        found = await database.fetch(
            "SELECT id, body FROM chat_messages WHERE room_id = $1 ORDER BY id", room
        )
        stored, ids = [row["body"] for row in found], [row["id"] for row in found]
        here = [each for each in chat_clients if each.room == room]
        sent = [text for each in here for text in each.sent]
        if sorted(sent) != sorted(stored):
            lost, more = Counter(sent) - Counter(stored), Counter(stored) - Counter(sent)
            wrong.append(f"messages lost {dict(lost)}, doubled {dict(more)}")
        wrong += [
            "a client received other messages" for one in here if (one.ids, one.bodies) != (ids, stored)
        ]
    return wrong


async def tasks(database: asyncpg.Connection, front: Front, accounts: Sequence[Account]) -> list[str]:
    """Every accepted export is there once, has succeeded, and its result is whole."""
    wrong: list[str] = []
    accepted = {task: account for account in accounts for task in account.exports.values()}
    rows = {
        str(row["id"]): row
        for row in await database.fetch("SELECT * FROM celery_tasks WHERE owner_id IS NOT NULL")
    }
    if len(accepted) != sum(len(account.exports) for account in accounts):
        wrong.append("two keys got the same task")
    # The last request for one may have had no answer.
    if not 0 <= len(rows) - len(accepted) <= len(accounts):
        wrong.append(f"{len(accepted)} exports were accepted, {len(rows)} are there")
    for task, account in accepted.items():
        if task not in rows:
            wrong.append(f"task {task} is lost")
            continue
        if rows[task]["state"] != "succeeded":
            columns = ("state", "last_error", "attempt", "publish_count", "created_at", "due_at")
            wrong.append(f"task {task}: " + ", ".join(f"{name} {rows[task][name]}" for name in columns))
            continue
        answer = await front.send("GET", f"{TASKS}/{task}/result", headers=account.headers)
        lines = [json.loads(line) for line in answer.text.splitlines()]
        result = json.loads(rows[task]["result"])
        if len(answer.content) != result["bytes"] or len({line["id"] for line in lines}) != len(lines):
            wrong.append(f"task {task}: {len(answer.content)} bytes and {len(lines)} lines of {result}")
    return wrong


def troubles(front: Front, windows: Sequence[Window]) -> tuple[list[str], Counter[str]]:
    """Return what clients saw where nothing of the kind may be seen, and how much there was of what may."""
    wrong: list[str] = []
    explained: Counter[str] = Counter()
    for trouble in front.troubles:
        during = [each for each in windows if each.begun <= trouble.at <= each.ended + SLACK]
        cause = next((each.fault.name for each in during if trouble.kind in each.fault.allowed), None)
        if cause:
            explained[f"{cause}: {trouble.kind}"] += 1
        else:
            names = ", ".join(each.fault.name for each in during) or "nothing"
            wrong.append(f"{trouble.kind} during {names}: {trouble.what}")
    return wrong, explained


def memory(found: Memory) -> tuple[list[str], list[str]]:
    """Return whose memory grew, and a line on each."""
    wrong: list[str] = []
    lines: list[str] = []
    for role, sizes in found.items():
        third = max(1, len(sizes) // 3)
        first, last = median(sizes[:third]), median(sizes[-third:])
        lines.append(
            f"{role}: {first:.0f} MiB in the first third, {last:.0f} in the last, {max(sizes):.0f} at most"
        )
        if last > first * GROWTH:
            wrong.append(f"{role} grew from {first:.0f} to {last:.0f} MiB")
    return wrong, lines
