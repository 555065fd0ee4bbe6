"""Tools for language models: search the caller's notes."""

from collections.abc import Sequence
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field

from app.examples.notes.schemas import NoteQuery
from app.examples.notes.service import NoteService
from keel.llm.toolbox import Tool, ToolContext
from keel.services import Services
from keel.text import NO_NUL

FOUND = 5
EXCERPT = 500
"""Characters of a note's body."""


class SearchNotes(BaseModel):
    """The arguments of a search."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[str, Field(max_length=200, pattern=NO_NUL, description="Words that title or body contain")]


async def search_notes(arguments: SearchNotes, context: ToolContext) -> str:
    """Return the caller's notes that contain all words, newest first, as JSON."""
    notes = NoteService(context.services.database.read, context.caller, context.services)
    page = await notes.list(NoteQuery(q=arguments.query, limit=FOUND))
    found = [{"title": note.title, "body": note.body[:EXCERPT], "tags": note.tags} for note in page.items]
    return orjson.dumps(found).decode()


def tools(_: Services) -> Sequence[Tool]:
    """Return the search tool."""
    return [
        Tool(
            name="search_notes",
            description="Search the user's own notes. Returns at most five, as JSON with title, body and tags.",
            arguments=SearchNotes,
            run=search_notes,
            scope="notes:read",
        )
    ]
