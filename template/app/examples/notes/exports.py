"""How all notes of an owner are read."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from app.examples.notes.repository import NoteReader
from app.examples.notes.schemas import Note, NoteOrder, NoteQuery
from keel.celery.export.exporters import Exporter
from keel.db.database import ReadSession
from keel.services import Services
from keel.web.pagination import Cursor

PAGE = 100


class NoteExporter:
    """Reads notes in the order in which they were made."""

    scope = "notes:read"
    columns: Sequence[str] = tuple(Note.model_fields)

    async def count(self, session: ReadSession, subject: str) -> int:
        """Return how many notes there are."""
        return await NoteReader(session).count(subject)

    async def rows(self, session: ReadSession, subject: str) -> AsyncIterator[Mapping[str, Any]]:
        """Read the notes, a page at a time."""
        reader, query = NoteReader(session), NoteQuery(sort=NoteOrder.CREATED, limit=PAGE)
        after: Cursor[Any] | None = None
        while True:
            page = (await reader.page(subject, query, after))[:PAGE]
            for row in page:
                yield Note.model_validate(row).model_dump(mode="json")
            if len(page) < PAGE:
                return
            after = Cursor(page[-1].created_at, page[-1].id)


def exporters(_: Services) -> dict[str, Exporter]:
    """Offer the notes."""
    return {"notes": NoteExporter()}
