"""Requests and responses; a message is the same over HTTP and the socket."""

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
    last_message_id: int = Field(description="The number of the newest message; 0 in an empty room.")


class RoomDetail(Room):
    """A room and its members."""

    present: list[str] = Field(description="Subjects of the members that are connected, at most 100 of them.")
    present_count: int


class ChatMessage(BaseModel):
    """A message as every client in the room receives it; for its sender it is the acknowledgement."""

    model_config = ConfigDict(from_attributes=True)

    type: Literal["message"] = "message"
    id: int = Field(description="Its number in the room: 1, 2, 3 and so on, without a gap.")
    client_id: str = Field(description="The sender's own id of the message.")
    sender: str
    body: str
    sent_at: datetime


class PageQuery(BaseModel):
    """A page of a list."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[SafeStr, Field(max_length=2000)] | None = Field(
        default=None, description="`next` of the previous page"
    )
