"""Request and response models."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, AfterValidator, BaseModel, ConfigDict, Field

from keel.clock import UtcDatetime
from keel.text import NO_NUL, SafeStr
from keel.web.pagination import PageQuery

Title = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]
Body = Annotated[str, Field(max_length=100_000, pattern=NO_NUL)]
Tag = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[^\x00-\x1f\x7f]+$")]
Tags = Annotated[list[Tag], Field(max_length=20)]


class NoteCreate(BaseModel):
    """A new note."""

    model_config = ConfigDict(extra="forbid")

    title: Title
    body: Body = ""
    tags: Tags = []


class NoteUpdate(BaseModel):
    """Changes to a note; omitted fields stay as they are."""

    model_config = ConfigDict(extra="forbid")

    title: Title | MISSING = MISSING
    body: Body | MISSING = MISSING
    tags: Tags | MISSING = MISSING


class Note(BaseModel):
    """A note."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    body: str
    tags: Annotated[list[str], AfterValidator(sorted)]
    version: int
    created_at: datetime
    updated_at: datetime


class NoteOrder(StrEnum):
    """Orders of a list; with a minus, highest first."""

    CREATED = "created_at"
    CREATED_LAST = "-created_at"
    UPDATED = "updated_at"
    UPDATED_LAST = "-updated_at"
    TITLE = "title"
    TITLE_LAST = "-title"


class NoteFilter(BaseModel, frozen=True, extra="forbid"):
    """A filter of notes."""

    q: Annotated[SafeStr, Field(max_length=200)] | None = Field(
        default=None, description="Words that title or body contain, in any case and with or without accents"
    )
    tag: Annotated[list[Tag], Field(max_length=5)] = Field(default=[], description="Tags that a note has, all of them")
    created_from: UtcDatetime | None = Field(default=None, description="Created at this moment or later")
    created_before: UtcDatetime | None = Field(default=None, description="Created before this moment")


class NoteQuery(NoteFilter, PageQuery):
    """The filter, page and order of a list of notes."""

    sort: NoteOrder = NoteOrder.CREATED_LAST
