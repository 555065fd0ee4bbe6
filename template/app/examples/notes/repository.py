"""Queries on notes and tags."""

from collections.abc import Collection, Mapping, Sequence, Set
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, insert, select
from sqlalchemy.exc import IntegrityError

from app.examples.notes import schemas
from app.examples.notes.models import Note, Tag, note_tags
from keel.db.database import AnyRow
from keel.db.functions import aggregate_list
from keel.db.repository import Repository
from keel.text import normalize_for_search
from keel.web.pagination import Page

MAX_WORDS = 8
"""The most words of a search; the rest are ignored."""

_tags = (
    select(aggregate_list(Tag.name))
    .join(note_tags, note_tags.c.tag_id == Tag.id)
    .where(note_tags.c.note_id == Note.id)
    .scalar_subquery()
)


def matching(filter_: schemas.NoteFilter) -> list[ColumnElement[bool]]:
    """Return the SQL conditions of a filter."""
    words = normalize_for_search(filter_.q or "").split()[:MAX_WORDS]
    conditions = [Note.search_text.contains(word, autoescape=True) for word in words]
    conditions += [Note.tags.any(Tag.name == tag) for tag in filter_.tag]
    if filter_.created_from:
        conditions.append(Note.created_at >= filter_.created_from)
    if filter_.created_before:
        conditions.append(Note.created_at < filter_.created_before)
    return conditions


class NoteRepository(Repository[Note]):
    """Notes, with the names of their tags."""

    model = Note
    columns = (
        Note.id,
        Note.title,
        Note.body,
        _tags.label("tags"),
        Note.version,
        Note.created_at,
        Note.updated_at,
    )

    async def search(self, owner_id: str, query: schemas.NoteQuery) -> Page[schemas.Note]:
        """Return a page of an owner's notes."""
        return await self.page(schemas.Note, query, *matching(query), owner_id=owner_id)

    async def add_all(self, notes: Sequence[Mapping[str, Any]]) -> Sequence[AnyRow]:
        """Insert notes, given the values of each; return them in the same order, with their defaults."""
        columns = (Note.id, Note.title, Note.body, Note.version, Note.created_at, Note.updated_at)
        statement = insert(Note).returning(*columns, sort_by_parameter_order=True)
        return (await self.writing.execute(statement, notes)).all()

    async def add_tags(self, owner_id: str, names_by_note: Mapping[UUID, Sequence[str]]) -> None:
        """Add tags to notes of an owner, creating those that are missing."""
        tags = await self._find_or_create(owner_id, {name for names in names_by_note.values() for name in names})
        added = [{"note_id": note, "tag_id": tags[name]} for note, names in names_by_note.items() for name in names]
        if added:
            await self.writing.execute(insert(note_tags), added)

    async def remove_tags(self, note_id: UUID) -> None:
        """Remove all tags of a note."""
        await self.writing.execute(delete(note_tags).where(note_tags.c.note_id == note_id))

    async def _find_or_create(self, owner_id: str, names: Set[str]) -> dict[str, UUID]:
        found = {tag.name: tag.id for tag in await self._find(owner_id, names)} if names else {}
        # In order, so that two requests that create the same tags wait for each other instead of deadlocking.
        for name in sorted(names - found.keys()):
            found[name] = (await self._create(owner_id, name)).id
        return found

    async def _create(self, owner_id: str, name: str) -> Tag:
        tag = Tag(owner_id=owner_id, name=name)
        try:
            async with self.writing.begin_nested():
                self.writing.add(tag)
        except IntegrityError:
            # Another request has created and committed it since the first look.
            (tag,) = await self._find(owner_id, [name])
        return tag

    async def _find(self, owner_id: str, names: Collection[str]) -> Sequence[Tag]:
        return (await self.writing.scalars(select(Tag).where(Tag.owner_id == owner_id, Tag.name.in_(names)))).all()
