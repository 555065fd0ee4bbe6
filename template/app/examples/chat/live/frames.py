"""The frames of a room's socket as models, and their encoding."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from app.examples.chat.schemas import ChatMessage
from keel.text import NO_NUL
from keel.websockets.frames import Pong, client_frames

SINGLE, BATCHED = "keel.chat.v1", "keel.chat.v2"
"""The subprotocols of this server: in the second, messages may share a frame (`Messages`)."""

ClientId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\x21-\x7d][\x20-\x7e]*$")]
# No leading tilde: such ids are reserved for messages of deleted accounts.


class SendMessage(BaseModel):
    """Send a message. Sent again with the same `client_id`, it is stored once."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["message"]
    client_id: ClientId = Field(description="The client's own id of the message, such as a UUID.")
    body: Annotated[str, Field(min_length=1, max_length=4000, pattern=NO_NUL)]


class Ready(BaseModel):
    """The connection is open; missed messages follow, then new ones."""

    type: Literal["ready"] = "ready"
    room: UUID
    you: str = Field(description="Your subject: the `sender` of your messages.")
    last_message_id: int = Field(description="The newest message when you connected.")


class Messages(BaseModel):
    """Consecutive messages in one frame, for clients that speak the second version of the protocol."""

    type: Literal["messages"] = "messages"
    messages: Annotated[list[ChatMessage], Field(min_length=2)]


class Members(BaseModel):
    """The members of the room; sent on connecting and after each change."""

    type: Literal["presence"] = "presence"
    members: list[str] = Field(description="Subjects, at most 100 of them.")
    count: int


class MessageError(BaseModel):
    """One of your frames had no effect; the connection stays open."""

    type: Literal["error"] = "error"
    code: Literal["invalid-frame", "forbidden", "unavailable"]
    detail: str
    client_id: str | None = Field(default=None, description="The message that it is about, if any.")


CLIENT = client_frames(SendMessage)
SERVER: TypeAdapter[Ready | ChatMessage | Messages | Members | Pong | MessageError] = TypeAdapter(
    Annotated[Ready | ChatMessage | Messages | Members | Pong | MessageError, Field(discriminator="type")]
)


def encode_message(row: Mapping[str, Any]) -> str:
    """Return a message as JSON: encoded once, however many clients receive it."""
    return orjson.dumps({"type": "message", **row}, option=orjson.OPT_UTC_Z).decode()


def encode_messages(encoded: Iterable[str]) -> str:
    """Return messages that are encoded already as one frame."""
    return f'{{"type":"messages","messages":[{",".join(encoded)}]}}'
