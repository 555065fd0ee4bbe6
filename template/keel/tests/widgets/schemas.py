"""Request and response models."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, BaseModel, ConfigDict, Field

from keel.text import NO_NUL

Title = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]
Body = Annotated[str, Field(max_length=100_000, pattern=NO_NUL)]


class WidgetCreate(BaseModel):
    """A new widget."""

    model_config = ConfigDict(extra="forbid")

    title: Title
    body: Body = ""


class WidgetUpdate(BaseModel):
    """Changes to a widget; omitted fields stay as they are."""

    model_config = ConfigDict(extra="forbid")

    title: Title | MISSING = MISSING
    body: Body | MISSING = MISSING


class Widget(BaseModel):
    """A widget."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    body: str
    created_at: datetime


class WidgetQuery(BaseModel):
    """Which page of the list."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: UUID | None = Field(default=None, description="`next` of the page before")
