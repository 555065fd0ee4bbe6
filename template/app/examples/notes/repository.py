"""Queries on notes. Nothing here decides anything."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import selectinload

from app.examples.notes import statements
from app.examples.notes.models import Note, Tag
from app.examples.notes.schemas import NoteQuery
from keel.db.database import ReadSession, Session
from keel.text import normalize_for_search
from keel.web.pagination import Cursor

MAX_WORDS = 8
"""Words of a search that are looked for; the rest are ignored."""


class NoteReader:
    """Reads notes as rows, for answers."""

    def __init__(self, session: ReadSession) -> None:
        self._session = session

    async def get(self, owner: str, note_id: UUID) -> Row[Any] | None:
        """Return a note of an owner."""
        return await self._session.first(statements.ONE, {"id": note_id, "owner": owner})

    async def count(self, owner: str) -> int:
        """Return how many notes an owner has."""
        return await self._session.scalar(statements.COUNT, {"owner": owner})

    async def page(self, owner: str, query: NoteQuery, after: Cursor[Any] | None) -> Sequence[Row[Any]]:
        """Return the notes that a query asks for, and one more if there are any after them."""
        words = [_escaped(word) for word in normalize_for_search(query.q or "").split()[:MAX_WORDS]]
        statement = statements.page(
            query.sort,
            len(words),
            len(query.tag),
            after=after is not None,
            created_from=query.created_from is not None,
            created_before=query.created_before is not None,
        )
        parameters: dict[str, Any] = {"owner": owner, "limit": query.limit + 1}
        parameters |= {f"word_{i}": word for i, word in enumerate(words)}
        parameters |= {f"tag_{i}": tag for i, tag in enumerate(query.tag)}
        if query.created_from:
            parameters["created_from"] = query.created_from
        if query.created_before:
            parameters["created_before"] = query.created_before
        if after:
            parameters |= {"after_value": after.value, "after_id": after.id}
        return await self._session.all(statement, parameters)


class NoteRepository:
    """Changes notes as entities, within a transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, note: Note) -> None:
        """Store a new note."""
        self._session.add(note)
        await self._session.flush()

    async def get(self, owner: str, note_id: UUID) -> Note | None:
        """Return a note of an owner, locked until the transaction ends so that no update of it is lost."""
        statement = (
            select(Note)
            .where(Note.id == note_id, Note.owner_id == owner)
            .options(selectinload(Note.tags))
            .with_for_update()
        )
        return (await self._session.scalars(statement)).one_or_none()

    async def save(self) -> None:
        """Write what has changed."""
        await self._session.flush()

    async def delete(self, note: Note) -> None:
        """Remove a note."""
        await self._session.delete(note)
        await self._session.flush()

    async def tags(self, owner: str, names: Iterable[str]) -> list[Tag]:
        """Return an owner's tags with the given names, creating those that are missing."""
        # In order, so that two requests that create the same tags wait for each other rather than forever.
        wanted = sorted(set(names))
        if not wanted:
            return []
        found = {tag.name: tag for tag in await self._find_tags(owner, wanted)}
        for name in wanted:
            if name not in found:
                found[name] = await self._create_tag(owner, name)
        return [found[name] for name in wanted]

    async def _create_tag(self, owner: str, name: str) -> Tag:
        tag = Tag(owner_id=owner, name=name)
        try:
            async with self._session.begin_nested():
                self._session.add(tag)
        except IntegrityError:
            # Another request was faster, and has committed since we looked.
            (tag,) = await self._find_tags(owner, [name])
        return tag

    async def _find_tags(self, owner: str, names: Sequence[str]) -> Sequence[Tag]:
        return (await self._session.scalars(select(Tag).where(Tag.owner_id == owner, Tag.name.in_(names)))).all()


def _escaped(word: str) -> str:
    """Return a word whose `%` and `_` match only themselves."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
