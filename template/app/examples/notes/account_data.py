"""Notes of an account that is deleted or merged."""

from functools import partial

from sqlalchemy import delete, select, update

from app.examples.notes.imports.models import NoteImport
from app.examples.notes.models import Note, Tag, note_tags
from app.examples.notes.service import owner_tag
from keel.db.database import Session
from keel.messaging.cache import Cache
from keel.services import Services


class NoteAccountData:
    """Notes, tags and cached pages of a subject."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def delete(self, session: Session, subject: str) -> None:
        """Delete a subject's notes and tags."""
        # Imports first: this waits for one that is running, so that no note is added later.
        await session.execute(delete(NoteImport).where(NoteImport.owner_id == subject))
        await session.execute(delete(Note).where(Note.owner_id == subject))
        await session.execute(delete(Tag).where(Tag.owner_id == subject))
        session.after_commit(partial(self._cache.invalidate, owner_tag(subject)))

    async def transfer_ownership(self, session: Session, old: str, new: str) -> None:
        """Transfer a subject's notes and tags to another; a tag that both have is merged."""
        await session.execute(update(NoteImport).where(NoteImport.owner_id == old).values(owner_id=new))
        await session.execute(update(Note).where(Note.owner_id == old).values(owner_id=new))
        theirs = {tag.name: tag.id for tag in (await session.scalars(select(Tag).where(Tag.owner_id == new))).all()}
        for tag in (await session.scalars(select(Tag).where(Tag.owner_id == old))).all():
            if tag.name not in theirs:
                tag.owner_id = new
                continue
            await session.execute(update(note_tags).where(note_tags.c.tag_id == tag.id).values(tag_id=theirs[tag.name]))
            await session.delete(tag)
        await session.flush()
        session.after_commit(partial(self._cache.invalidate, owner_tag(old)))


def account_data(services: Services) -> NoteAccountData:
    """Return the handler of notes, for `keel.auth`."""
    return NoteAccountData(services.cache)
