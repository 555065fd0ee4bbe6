"""Request and response bodies."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from keel.text import SafeStr


class OutboxEvent(BaseModel):
    """An event in the outbox, without its data."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    type: str
    aggregate: str = Field(validation_alias="aggregatetype")
    subject: str = Field(validation_alias="aggregateid")
    key: str
    created_at: datetime
    sent_at: datetime | None = Field(description="When the brokers confirmed it; null if it is waiting")


class OutboxQuery(BaseModel):
    """Query parameters of the list of events."""

    model_config = ConfigDict(extra="forbid")

    waiting: bool | None = Field(default=None, description="Only waiting events (true), or only sent ones (false)")
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[SafeStr, Field(max_length=2000)] | None = Field(
        default=None, description="`next` of the previous page"
    )
