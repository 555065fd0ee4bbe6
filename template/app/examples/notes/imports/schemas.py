"""Response models."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.examples.notes.imports.models import ImportState


class Refusal(BaseModel):
    """A row that was skipped."""

    line: int = Field(description="Where the row begins in the file; the header is line 1")
    reason: str


class NoteImport(BaseModel):
    """An import and its progress."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    state: ImportState
    rows: int = Field(description="Valid rows: imported, or still to be imported")
    rows_done: int = Field(description="Rows imported so far")
    rows_refused: int = Field(description="Rows that were skipped")
    refusals: list[Refusal] = Field(description="The first skipped rows, with reasons")
    created_at: datetime
    updated_at: datetime = Field(description="Time of the last progress")
