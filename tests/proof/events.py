"""Events of notes: brokers, relays and consumers, and what has come through them."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from tests.machinery.rendering import ROOT
from tests.proof.report import say
from tests.proof.servers import Running

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import asyncpg

    from tests.proof.system import System

PROGRAM = ROOT / "tests" / "data" / "proof" / "events.py"
TOPIC = "harbour.notes"

SETTINGS = {
    "KAFKA_TOPIC_PREFIX": TOPIC.partition(".")[0],
    "KAFKA_RELAY_LEASE": "5",
    "KAFKA_TIMEOUT": "5",
    "KAFKA_SESSION_TIMEOUT": "5",
}
"""Shorter than in production, so that others take over within the run."""


class Cluster(Running):
    """A mock of three brokers. It keeps nothing, so it is not killed; the project's own tests cut connections to it."""

    def __init__(self, python: Path, folder: Path) -> None:
        """Be ready to start."""
        super().__init__("kafka", folder)
        self._python = python

    def command(self) -> list[str]:
        """Run the mock."""
        return [str(self._python), str(PROGRAM), "cluster"]

    async def is_ready(self) -> bool:
        """Whether it has said where it is."""
        return bool(self.servers)

    @property
    def servers(self) -> str:
        """The addresses of the brokers."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return next((line.split()[1] for line in lines if line.startswith("brokers ")), "")


async def unfinished(database: asyncpg.Connection) -> int:
    """Return how many events are not published, or have had no effect."""
    return int(
        await database.fetchval(
            "SELECT count(*) FILTER (WHERE sent_at IS NULL) + count(*) - (SELECT count(*) FROM kafka_inbox) "
            "FROM kafka_outbox"
        )
    )


async def reckon(database: asyncpg.Connection, system: System) -> list[str]:
    """Each change to a note is an event; each is in the topic, those of a note in order, and has had one effect."""
    rows = await database.fetch("SELECT id, aggregateid, type, sent_at FROM kafka_outbox ORDER BY position")
    recorded = [(str(row["id"]), row["aggregateid"]) for row in rows]
    kinds = Counter(row["type"].removeprefix("notes.") for row in rows)
    wrong = [f"event {row['id']} is not marked as sent" for row in rows if row["sent_at"] is None]
    there = await database.fetchval("SELECT count(*) FROM notes")
    if kinds["created"] - kinds["deleted"] != there:
        wrong.append(f"{there} notes are there, events say {dict(kinds)}")
    published = _read(system)
    # What was sent again counts where it came first.
    expected, found = _by_note(recorded), _by_note(dict.fromkeys(published))
    wrong += [
        f"note {note}: published were {found.get(note)}, recorded {events}"
        for note, events in expected.items()
        if found.get(note) != events
    ]
    wrong += [f"note {note}: published, but not recorded" for note in found.keys() - expected.keys()]
    effects = await database.fetchval("SELECT count(*) FROM kafka_inbox WHERE consumer = 'activity'")
    counted = await database.fetchrow("SELECT sum(created), sum(updated), sum(deleted) FROM note_activity")
    if effects != len(rows) or [kinds[each] for each in ("created", "updated", "deleted")] != list(counted):
        wrong.append(f"of {dict(kinds)} events {effects} had an effect, and {list(counted)} were counted")
    if failed := await database.fetch("SELECT error FROM kafka_deliveries"):
        wrong.append(f"{len(failed)} events wait or are dead: {failed[0]['error']}")
    say(f"events of notes: {len(rows)}, sent again: {len(published) - len(rows)}")
    return wrong


def _by_note(events: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for event, note in events:
        found[note].append(event)
    return found


def _read(system: System) -> list[tuple[str, str]]:
    """Everything that is in the topic."""
    command = [str(system.python), str(PROGRAM), "read", system.cluster.servers, TOPIC]
    environment = {"PATH": os.environ["PATH"]}
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return [(event, note) for event, note in map(json.loads, output.splitlines())]
