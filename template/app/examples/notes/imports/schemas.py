"""What callers get."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.examples.notes.imports.models import ImportState


class Refusal(BaseModel):
    """A row that was left out."""

    line: int = Field(description="Where the row begins in the file; the header is line 1")
    reason: str


class NoteImport(BaseModel):
    """An import and its progress."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    state: ImportState
    rows: int = Field(description="Rows that are or become notes")
    rows_done: int = Field(description="Rows that are notes already")
    rows_refused: int = Field(description="Rows that were left out")
    refusals: list[Refusal] = Field(description="The first of those, and why")
    created_at: datetime
    updated_at: datetime = Field(description="The last progress")
