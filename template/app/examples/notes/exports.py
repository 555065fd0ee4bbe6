"""Export of all notes of an owner."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from app.examples.notes.repository import NoteRepository
from app.examples.notes.schemas import Note, NoteOrder, NoteQuery
from keel.celery.export.exporters import Exporter
from keel.db.database import ReadSession
from keel.services import Services

PAGE = 100


class NoteExporter:
    """Reads notes in order of creation."""

    scope = "notes:read"
    columns: Sequence[str] = tuple(Note.model_fields)

    async def count(self, session: ReadSession, subject: str) -> int:
        """Return how many notes there are."""
        return await NoteRepository(session).count(owner_id=subject)

    async def rows(self, session: ReadSession, subject: str) -> AsyncIterator[Mapping[str, Any]]:
        """Read the notes, a page at a time."""
        query = NoteQuery(sort=NoteOrder.CREATED, limit=PAGE)
        while True:
            page = await NoteRepository(session).search(subject, query)
            for note in page.items:
                yield note.model_dump(mode="json")
            if page.next is None:
                return
            query = query.model_copy(update={"cursor": page.next})


def exporters(_: Services) -> dict[str, Exporter]:
    """Return the exporter of notes by its name."""
    return {"notes": NoteExporter()}
