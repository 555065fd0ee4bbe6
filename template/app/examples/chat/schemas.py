"""What callers send and get over HTTP, and a message, which looks the same everywhere."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from keel.text import NO_NUL, SafeStr


class RoomCreate(BaseModel):
    """A new room."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=NO_NUL)]


class Room(BaseModel):
    """A room."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    created_by: str
    created_at: datetime
    last_message_id: int = Field(description="The number of the newest message; 0 if there is none.")


class RoomDetail(Room):
    """A room and who is in it."""

    present: list[str] = Field(description="AccountData of those who are connected, at most 100 of them.")
    present_count: int


class ChatMessage(BaseModel):
    """A message, as everybody in the room gets it; for its sender it is the acknowledgement."""

    model_config = ConfigDict(from_attributes=True)

    type: Literal["message"] = "message"
    id: int = Field(description="Its place in the room: 1, 2, 3 and so on, without a gap.")
    client_id: str = Field(description="What its sender called it.")
    sender: str
    body: str
    sent_at: datetime


class PageQuery(BaseModel):
    """Which part of a list to show."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[SafeStr, Field(max_length=2000)] | None = Field(
        default=None, description="`next` of the page before"
    )
