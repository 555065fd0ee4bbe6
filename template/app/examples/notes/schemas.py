"""What callers send and get."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, BaseModel, BeforeValidator, ConfigDict, Field

from keel.clock import UtcDatetime
from keel.text import NO_NUL, SafeStr

Title = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]
Body = Annotated[str, Field(max_length=100_000, pattern=NO_NUL)]
Tag = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[^\x00-\x1f\x7f]+$")]
Tags = Annotated[list[Tag], Field(max_length=20)]

TAG_SEPARATOR = "\x1f"
"""Joins tags that come from the database as one string; no tag contains it."""


class NoteCreate(BaseModel):
    """A new note."""

    model_config = ConfigDict(extra="forbid")

    title: Title
    body: Body = ""
    tags: Tags = []


class NoteUpdate(BaseModel):
    """Changes to a note; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    title: Title | MISSING = MISSING
    body: Body | MISSING = MISSING
    tags: Tags | MISSING = MISSING


def _split_tags(value: object) -> object:
    return sorted(value.split(TAG_SEPARATOR)) if isinstance(value, str) else value or []


class Note(BaseModel):
    """A note."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    body: str
    tags: Annotated[list[str], BeforeValidator(_split_tags)]
    version: int
    created_at: datetime
    updated_at: datetime


class NoteOrder(StrEnum):
    """Orders of a list; a minus puts the highest first."""

    CREATED = "created_at"
    CREATED_LAST = "-created_at"
    UPDATED = "updated_at"
    UPDATED_LAST = "-updated_at"
    TITLE = "title"
    TITLE_LAST = "-title"


class NoteQuery(BaseModel):
    """Which notes a list holds, and in which order."""

    model_config = ConfigDict(extra="forbid")

    q: Annotated[SafeStr, Field(max_length=200)] | None = Field(
        default=None, description="Words that title or body contain, in any case and with or without accents"
    )
    tag: Annotated[list[Tag], Field(max_length=5)] = Field(default=[], description="Tags that a note has, all of them")
    created_from: UtcDatetime | None = Field(default=None, description="Created at this moment or later")
    created_before: UtcDatetime | None = Field(default=None, description="Created before this moment")
    sort: NoteOrder = NoteOrder.CREATED_LAST
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[SafeStr, Field(max_length=2000)] | None = Field(
        default=None, description="`next` of the page before, with the same filters and order"
    )
