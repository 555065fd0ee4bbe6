"""Changes to notes are counted from their events, per day; rebuilding yields the same counts."""

from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import select

from app.examples.activity.consumers import COUNTED
from app.examples.notes.outbox import EVENTS
from keel import clock
from keel.kafka.consuming.inbox import Inbox, IncomingMessage
from keel.kafka.models import OutboxEvent
from keel.services import services_of
from tests.examples.notes.api import NOTES, create

ACTIVITY = "/api/v1/activity"


def test_every_event_of_notes_is_counted() -> None:
    """The consumer knows event types by name, like one in another system."""
    assert COUNTED.keys() == {kind.event_type for kind in EVENTS.values()}


async def change_notes(client: AsyncClient) -> None:
    """Create two notes, change one, delete the other."""
    one, other = [(await create(client, title=title))["id"] for title in ("one", "other")]
    assert (await client.patch(f"{NOTES}/{one}", json={"title": "new"})).status_code == 200
    assert (await client.delete(f"{NOTES}/{other}")).status_code == 204


async def consume(app: FastAPI) -> Inbox:
    """Handle all events in the outbox, as the consumer's process does once the relay has published them."""
    services = services_of(app)
    kafka = services.kafka
    inbox = Inbox(services.database, kafka.settings, services.job_context, kafka.consumers["activity"])
    rows = await services.database.read.all(select(OutboxEvent.__table__).order_by(OutboxEvent.position))
    await inbox.handle_all(
        [IncomingMessage("notes", 0, row.position, row.key.encode(), row.payload.encode(), row.headers) for row in rows]
    )
    return inbox


async def test_counts_changes(app: FastAPI, client: AsyncClient) -> None:
    """Each event counts once, however often it arrives."""
    assert (await client.get(ACTIVITY)).json() == []
    await change_notes(client)
    await consume(app)
    await consume(app)
    (day,) = (await client.get(ACTIVITY)).json()
    assert day == {"day": clock.now().date().isoformat(), "created": 2, "updated": 1, "deleted": 1}


async def test_rebuilding_counts_the_same(app: FastAPI, client: AsyncClient) -> None:
    """Rebuilds as `python -m app kafka rebuild activity` does."""
    await change_notes(client)
    inbox = await consume(app)
    before = (await client.get(ACTIVITY)).json()
    reset = inbox.consumer.reset
    assert reset is not None
    async with services_of(app).database.transaction() as session:
        await reset(session)
        await inbox.forget(session)
    assert (await client.get(ACTIVITY)).json() == []
    await consume(app)
    assert (await client.get(ACTIVITY)).json() == before
