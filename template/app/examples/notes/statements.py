"""The statements that read notes: columns rather than entities, built once and filled in with parameters."""

from functools import lru_cache
from typing import Any

from sqlalchemy import Select, and_, bindparam, exists, func, literal_column, select, tuple_

from app.examples.notes.models import Note, Tag, note_tags
from app.examples.notes.schemas import TAG_SEPARATOR, NoteOrder

notes = Note.__table__
tags = Tag.__table__

_tags_of_note = (
    select(func.aggregate_strings(tags.c.name, TAG_SEPARATOR))
    .select_from(note_tags.join(tags))
    .where(note_tags.c.note_id == notes.c.id)
    .scalar_subquery()
    .label("tags")
)

_columns = (
    notes.c.id,
    notes.c.title,
    notes.c.body,
    notes.c.version,
    notes.c.created_at,
    notes.c.updated_at,
    _tags_of_note,
)

ONE = select(*_columns).where(notes.c.id == bindparam("id"), notes.c.owner_id == bindparam("owner"))

COUNT = select(func.count()).select_from(notes).where(notes.c.owner_id == bindparam("owner"))


@lru_cache(maxsize=512)
def page(
    order: NoteOrder, words: int, tag_count: int, *, after: bool, created_from: bool, created_before: bool
) -> Select[*tuple[Any, ...]]:
    """Return the statement for a list with so many words and tags, and with or without the other conditions.

    Parameters to fill in: `owner`, `limit`, `word_0` …, `tag_0` …, `after_value` and `after_id`, `created_from`,
    `created_before`, as far as they are asked for.
    """
    descending = order.startswith("-")
    key = notes.c[order.removeprefix("-")]
    statement = select(*_columns).where(notes.c.owner_id == bindparam("owner"))
    for i in range(words):
        statement = statement.where(notes.c.search_text.contains(bindparam(f"word_{i}"), autoescape=False, escape="\\"))
    for i in range(tag_count):
        statement = statement.where(_has_tag(f"tag_{i}"))
    if created_from:
        statement = statement.where(notes.c.created_at >= bindparam("created_from", type_=notes.c.created_at.type))
    if created_before:
        statement = statement.where(notes.c.created_at < bindparam("created_before", type_=notes.c.created_at.type))
    if after:
        place = tuple_(bindparam("after_value", type_=key.type), bindparam("after_id", type_=notes.c.id.type))
        here = tuple_(key, notes.c.id)
        statement = statement.where(here < place if descending else here > place)
    directed = [column.desc() if descending else column.asc() for column in (key, notes.c.id)]
    return statement.order_by(*directed).limit(bindparam("limit", literal_execute=False))


def _has_tag(parameter: str) -> Any:
    return exists(
        select(literal_column("1"))
        .select_from(note_tags.join(tags))
        .where(and_(note_tags.c.note_id == notes.c.id, tags.c.name == bindparam(parameter)))
    )
