"""How all notes of an owner are read."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from app.core.database import ReadSession
from app.core.pagination import Cursor
from app.notes.repository import NoteReader
from app.notes.schemas import Note, NoteOrder, NoteQuery

PAGE = 100


class NoteExporter:
    """Reads notes in the order in which they were made."""

    scope = "notes:read"
    columns = tuple(Note.model_fields)

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
