"""Request and response bodies."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from keel.celery.enums import TaskState
from keel.celery.export.formats import Format
from keel.text import SafeStr


class ExportRequest(BaseModel):
    """What to export, and its format."""

    model_config = ConfigDict(extra="forbid")

    kind: Annotated[str, Field(max_length=50, pattern=r"^[a-z_]+$", description="The kind of objects")]
    format: Format = Format.JSON_LINES


class Task(BaseModel):
    """A task and its state."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    state: TaskState
    progress: float = Field(ge=0, le=1)
    result: dict[str, Any] | None = Field(description="The result's metadata, if the task has succeeded")
    error: str | None = Field(description="Why the task has failed")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class TaskQuery(BaseModel):
    """The page of a list of tasks."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[SafeStr, Field(max_length=2000)] | None = Field(
        default=None, description="`next` of the previous page"
    )
