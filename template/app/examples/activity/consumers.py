"""The consumer that counts the events of notes.

It knows only what the events say, as a consumer in another system would: it imports nothing from the notes.
"""

from collections.abc import Sequence
from datetime import datetime

from app.examples.activity.repository import ActivityRepository
from keel.db.database import Session
from keel.kafka.cloudevents.envelope import Received
from keel.kafka.cloudevents.event import Event
from keel.kafka.consuming.consumers import Consumer
from keel.services import Services

COUNTED = {"notes.created": "created", "notes.updated": "updated", "notes.deleted": "deleted"}


class NoteChanged(Event):
    """The fields of a note's event that this consumer reads."""

    aggregate_type = "notes"
    event_type = "notes.changed"

    owner_id: str
    created_at: datetime
    updated_at: datetime


async def count(session: Session, event: Received) -> None:
    """Count an event on its day. Unknown types are ignored: later releases may add some."""
    if column := COUNTED.get(event.envelope.type):
        note = event.data_as(NoteChanged)
        moment = event.envelope.time or note.updated_at
        await ActivityRepository(session).count_event(note.owner_id, moment.date(), column)


async def reset(session: Session) -> None:
    """Delete all counts."""
    await ActivityRepository(session).clear()


def consumers(_: Services) -> Sequence[Consumer]:
    """Return the consumer."""
    return [Consumer("activity", aggregates=["notes"], handle=count, reset=reset)]
