"""The consumer that counts the events of notes.

It knows of notes what their events say, as a consumer in another system would: it imports nothing of theirs.
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
    """What this consumer reads of a note's event."""

    aggregate_type = "notes"
    event_type = "notes.changed"

    owner_id: str
    created_at: datetime
    updated_at: datetime


async def count(session: Session, event: Received) -> None:
    """Count an event on its day. Types that are not known are left alone: later releases may have more."""
    if column := COUNTED.get(event.envelope.type):
        note = event.data_as(NoteChanged)
        moment = event.envelope.time or note.updated_at
        await ActivityRepository(session).count_event(note.owner_id, moment.date(), column)


async def reset(session: Session) -> None:
    """Forget what was counted."""
    await ActivityRepository(session).clear()


def consumers(_: Services) -> Sequence[Consumer]:
    """Return the consumer."""
    return [Consumer("activity", aggregates=["notes"], handle=count, reset=reset)]
