"""The rules of notes: whose they are, when a change is refused, who hears of it."""

from functools import partial
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from app.examples.notes import models, pages
from app.examples.notes.repository import NoteReader, NoteRepository
from app.examples.notes.schemas import Note, NoteCreate, NoteQuery, NoteUpdate
from keel import clock
from keel.caller import Caller
from keel.clock import UtcDatetime
from keel.db.database import Session
from keel.messaging.cache import Cache
from keel.messaging.pubsub import PubSub
from keel.text import SafeStr
from keel.web.errors import NotFound, PreconditionFailed
from keel.web.etags import matches
from keel.web.pagination import Cursor, Page, decode_cursor

_KEY_TYPES: dict[str, TypeAdapter[Any]] = {
    "created_at": TypeAdapter(UtcDatetime),
    "updated_at": TypeAdapter(UtcDatetime),
    "title": TypeAdapter(SafeStr),
}


class NoteNotFound(NotFound):
    """There is no such note, or it belongs to somebody else."""

    type = "urn:problem:note-not-found"


class NoteChanged(PreconditionFailed):
    """The note has changed since the caller last saw it."""

    type = "urn:problem:note-changed"


def topic(caller: Caller) -> str:
    """Return the topic on which a caller hears of changes to their notes."""
    return f"notes:{caller.subject}"


class NoteReadService:
    """Reads a caller's notes."""

    def __init__(self, reader: NoteReader, caller: Caller) -> None:
        self._reader = reader
        self._caller = caller

    async def get(self, note_id: UUID) -> Note:
        """Return a note.

        Raises:
            NoteNotFound: the caller has no such note.
        """
        row = await self._reader.get(self._caller.subject, note_id)
        if row is None:
            raise NoteNotFound("There is no such note.")
        return Note.model_validate(row)

    async def page(self, note_id: UUID, cache: Cache) -> str:
        """Return a note as an HTML document.

        Raises:
            NoteNotFound: the caller has no such note.
        """
        return await pages.page(await self.get(note_id), self._caller.subject, cache)

    async def list(self, query: NoteQuery) -> Page[Note]:
        """Return a page of notes.

        Raises:
            InvalidCursor: the cursor is not from a list in this order.
        """
        key = query.sort.removeprefix("-")
        after = decode_cursor(query.cursor, query.sort, _KEY_TYPES[key]) if query.cursor is not None else None
        rows = await self._reader.page(self._caller.subject, query, after)
        items = [Note.model_validate(row) for row in rows[: query.limit]]
        if len(rows) <= query.limit:
            return Page(items=items, next=None)
        last = items[-1]
        return Page(items=items, next=Cursor(getattr(last, key), last.id).encode(query.sort))


class NoteService:
    """Changes a caller's notes and announces what has changed."""

    def __init__(self, session: Session, caller: Caller, pubsub: PubSub, cache: Cache) -> None:
        self._session = session
        self._notes = NoteRepository(session)
        self._caller = caller
        self._pubsub = pubsub
        self._cache = cache

    async def create(self, data: NoteCreate) -> Note:
        """Add a note."""
        moment = clock.now()
        note = models.Note(
            owner_id=self._caller.subject,
            created_at=moment,
            updated_at=moment,
            title=data.title,
            body=data.body,
            tags=await self._notes.tags(self._caller.subject, data.tags),
        )
        await self._notes.add(note)
        return self._announce("created", note)

    async def update(self, note_id: UUID, data: NoteUpdate, *, if_match: str | None) -> Note:
        """Change a note, if it is still the version that `if_match` names.

        Raises:
            NoteNotFound: the caller has no such note.
            NoteChanged: the note has another version by now.
        """
        note = await self._find(note_id, if_match)
        changes = data.model_dump(exclude_unset=True)
        if "tags" in changes:
            changes["tags"] = await self._notes.tags(self._caller.subject, changes["tags"])
        if changes:
            # Tags are rows of their own: without this, a change of nothing else would make no new version.
            changes["updated_at"] = clock.now()
        for field, value in changes.items():
            setattr(note, field, value)
        await self._notes.save()
        self._forget(note)
        return self._announce("updated", note)

    async def delete(self, note_id: UUID, *, if_match: str | None) -> None:
        """Remove a note, if it is still the version that `if_match` names.

        Raises:
            NoteNotFound: the caller has no such note.
            NoteChanged: the note has another version by now.
        """
        note = await self._find(note_id, if_match)
        await self._notes.delete(note)
        self._forget(note)
        self._announce("deleted", note)

    async def _find(self, note_id: UUID, if_match: str | None) -> models.Note:
        note = await self._notes.get(self._caller.subject, note_id)
        if note is None:
            raise NoteNotFound("There is no such note.")
        if if_match is not None and not matches(if_match, note.version):
            raise NoteChanged("The note has changed; read it again, then repeat your change.")
        return note

    def _forget(self, note: models.Note) -> None:
        """Keep nothing of what a note was, once it is something else for good."""
        self._session.after_commit(partial(self._cache.invalidate, pages.tag_of_note(str(note.id))))

    def _announce(self, event: str, note: models.Note) -> Note:
        result = Note.model_validate(
            {**{f: getattr(note, f) for f in Note.model_fields}, "tags": [tag.name for tag in note.tags]}
        )
        data = result.model_dump_json()

        async def publish() -> None:
            await self._pubsub.publish(topic(self._caller), event, data)

        self._session.after_commit(publish)
        return result
