"""The events of notes: recorded in the transaction of each change, published to the topic `<prefix>.notes`.

They carry no body: records in a topic cannot be deleted with an account, and authorised readers get it from the API.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app.examples.notes.schemas import Note
from keel.db.database import Session
from keel.kafka.cloudevents.event import Event
from keel.kafka.publishing.outbox import Outbox
from keel.messaging.changes import Change
from keel.services import Services


class NoteEvent(Event):
    """The data of a note's events."""

    aggregate_type = "notes"
    event_type = "notes.changed"

    id: UUID
    owner_id: str
    title: str
    tags: list[str]
    version: int
    created_at: datetime
    updated_at: datetime


class NoteCreated(NoteEvent):
    """A note was added."""

    event_type = "notes.created"


class NoteUpdated(NoteEvent):
    """A note was changed."""

    event_type = "notes.updated"


class NoteDeleted(NoteEvent):
    """A note was deleted; the data are from before."""

    event_type = "notes.deleted"


EVENTS: dict[str, type[NoteEvent]] = {"created": NoteCreated, "updated": NoteUpdated, "deleted": NoteDeleted}


class NoteEvents:
    """Records changes to notes."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def record(self, session: Session, change: Change) -> None:
        """Record a change; the events of one owner are published in order."""
        kind = EVENTS[change.event]
        notes = [Note.model_validate(row) for row in change.rows]
        events = [(note.id, kind.model_validate({**note.model_dump(), "owner_id": change.owner_id})) for note in notes]
        await self._outbox.record_all(session, events, key=change.owner_id)


def event_types(services: Services) -> Sequence[type[Event]]:
    """Record every change to notes from now on; return the classes of the events."""
    services.changes.listen("notes", NoteEvents(services.kafka.outbox).record)
    return tuple(EVENTS.values())
