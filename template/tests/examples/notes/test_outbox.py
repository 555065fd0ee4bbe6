"""Changes to notes are events in the outbox: in their transaction, keyed by owner, without the body."""

import json
from typing import Any

from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import select

from app.examples.notes.outbox import NoteCreated, NoteDeleted, NoteUpdated
from keel.kafka.models import OutboxEvent
from keel.services import services_of
from keel.testing.identity import sign_in
from tests.examples.notes.api import NOTES, create

CHANGES = [NoteCreated.event_type, NoteUpdated.event_type, NoteDeleted.event_type]


async def events(app: FastAPI) -> list[dict[str, Any]]:
    """Return the events that were recorded, in order."""
    rows = await services_of(app).database.read.all(select(OutboxEvent.payload).order_by(OutboxEvent.position))
    return [json.loads(row.payload) for row in rows]


async def test_changes_are_recorded(app: FastAPI, client: AsyncClient) -> None:
    """Created, updated and deleted, each with the note as of then."""
    owner = await sign_in(client)
    note = await create(client, title="one", body="secret", tags=["x"])
    await client.patch(f"{NOTES}/{note['id']}", json={"title": "two"})
    await client.delete(f"{NOTES}/{note['id']}")

    found = await events(app)
    assert [event["type"] for event in found] == CHANGES
    assert [event["data"]["title"] for event in found] == ["one", "two", "two"]
    assert [event["data"]["version"] for event in found] == [1, 2, 2]
    assert {event["subject"] for event in found} == {note["id"]}
    assert {event["partitionkey"] for event in found} == {owner}
    assert {event["data"]["owner_id"] for event in found} == {owner}
    assert "secret" not in json.dumps(found)


async def test_refused_change_is_no_event(app: FastAPI, client: AsyncClient) -> None:
    """Such as one based on a stale version."""
    note = await create(client, title="one")
    refused = await client.patch(f"{NOTES}/{note['id']}", json={"title": "two"}, headers={"If-Match": '"9"'})
    assert refused.status_code == 412
    assert [event["type"] for event in await events(app)] == CHANGES[:1]
