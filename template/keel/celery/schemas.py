"""What callers send and get."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from keel.celery.formats import Format
from keel.celery.states import State
from keel.text import SafeStr


class ExportRequest(BaseModel):
    """What to export, and in which form."""

    model_config = ConfigDict(extra="forbid")

    kind: Annotated[str, Field(max_length=50, pattern=r"^[a-z_]+$")] = Field(
        default="notes", description="Which of your things"
    )
    format: Format = Format.JSON_LINES


class Task(BaseModel):
    """A task, and where it stands."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    state: State
    progress: float = Field(ge=0, le=1)
    result: dict[str, Any] | None = Field(description="What a task that has succeeded says of its result")
    error: str | None = Field(description="Why a task has failed")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class TaskQuery(BaseModel):
    """Which tasks a list holds."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[SafeStr, Field(max_length=2000)] | None = Field(
        default=None, description="`next` of the page before"
    )
