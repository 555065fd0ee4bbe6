"""What goes over a socket: frames of both sides as models, their encoding, and why a connection is closed."""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from http import HTTPStatus
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from app.examples.chat.schemas import ChatMessage
from keel.text import NO_NUL
from keel.web.errors import AppError

ONE_BY_ONE, TOGETHER = "keel.chat.v1", "keel.chat.v2"
"""The subprotocols that this server speaks: in the second, messages may share a frame (`Messages`)."""

BEARER = "bearer"
"""A client that offers this subprotocol offers its token as the next one: browsers let it set no header."""

ClientId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\x21-\x7d][\x20-\x7e]*$")]
# It begins with no tilde: names that begin so are given to messages whose sender has gone.


class SendMessage(BaseModel):
    """Say something. Sent again with the same `client_id`, it is said once."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["message"]
    client_id: ClientId = Field(description="The client's own name for the message, such as a UUID.")
    body: Annotated[str, Field(min_length=1, max_length=4000, pattern=NO_NUL)]


class Authenticate(BaseModel):
    """Say who you are: the first frame if the handshake did not say it, and later whenever a token runs out."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["authenticate"]
    token: Annotated[str, Field(min_length=1, max_length=8192)]


class Ping(BaseModel):
    """Ask for a sign of life; browsers can send no ping of WebSocket's own."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["ping"]


class Ready(BaseModel):
    """The connection is open; what follows is what was missed, then what is said."""

    type: Literal["ready"] = "ready"
    room: UUID
    you: str = Field(description="The subject that you are known by here.")
    last_message_id: int = Field(description="The newest message when you came.")


class Messages(BaseModel):
    """Messages that follow each other, in one frame: to clients that speak the second version of the protocol."""

    type: Literal["messages"] = "messages"
    messages: Annotated[list[ChatMessage], Field(min_length=2)]


class Presence(BaseModel):
    """Who is in the room; sent on arrival and whenever it has changed."""

    type: Literal["presence"] = "presence"
    members: list[str] = Field(description="AccountData, at most 100 of them.")
    count: int


class Pong(BaseModel):
    """A sign of life."""

    type: Literal["pong"] = "pong"


class ErrorFrame(BaseModel):
    """A frame of yours had no effect; the connection stays open."""

    type: Literal["error"] = "error"
    code: Literal["invalid-frame", "forbidden", "unavailable"]
    detail: str
    client_id: str | None = Field(default=None, description="The message that it is about, if it is about one.")


ClientFrame = Annotated[SendMessage | Authenticate | Ping, Field(discriminator="type")]
ServerFrame = Annotated[Ready | ChatMessage | Messages | Presence | Pong | ErrorFrame, Field(discriminator="type")]

CLIENT: TypeAdapter[SendMessage | Authenticate | Ping] = TypeAdapter(ClientFrame)
SERVER: TypeAdapter[Ready | ChatMessage | Messages | Presence | Pong | ErrorFrame] = TypeAdapter(ServerFrame)


class Close(IntEnum):
    """Why the server closes a connection (RFC 6455, 7.4; 4000 and above are this protocol's own)."""

    NOT_TEXT = 1003
    TOO_BIG = 1009
    BROKEN = 1011
    RESTART = 1012
    TRY_LATER = 1013
    NOT_SIGNED_IN = 4401
    FORBIDDEN = 4403
    NOT_FOUND = 4404
    TOO_SLOW = 4408
    TOO_MUCH = 4429

    @property
    def meaning(self) -> str:
        """Return what happened and what a client should do."""
        return _MEANINGS[self]

    @classmethod
    def of(cls, error: AppError) -> Self:
        """Return the reason that tells of an error."""
        return cls(_BY_STATUS.get(error.status, cls.BROKEN))


_BY_STATUS = {
    HTTPStatus.UNAUTHORIZED: Close.NOT_SIGNED_IN,
    HTTPStatus.FORBIDDEN: Close.FORBIDDEN,
    HTTPStatus.NOT_FOUND: Close.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS: Close.TOO_MUCH,
    HTTPStatus.SERVICE_UNAVAILABLE: Close.TRY_LATER,
}

_MEANINGS = {
    Close.NOT_TEXT: "A frame was binary; send text.",
    Close.TOO_BIG: "A frame was too large.",
    Close.BROKEN: "Something went wrong on the server; connect again after a pause.",
    Close.RESTART: "The server restarts; connect again, soon.",
    Close.TRY_LATER: "Something that the server needs is away; connect again after a pause.",
    Close.NOT_SIGNED_IN: "There was no valid token in time, or it ran out; get a new one, then connect again.",
    Close.FORBIDDEN: "The token does not allow this, or is somebody else's; connecting again does not help.",
    Close.NOT_FOUND: "There is no such room.",
    Close.TOO_SLOW: "Too much was waiting for you; connect again with the last id that you saw.",
    Close.TOO_MUCH: "You sent too much for too long, or have too many connections; connect again after a pause.",
}


def encode(frame: BaseModel) -> str:
    """Return a frame as it is sent."""
    return frame.model_dump_json(exclude_none=True)


def encode_message(row: Mapping[str, Any]) -> str:
    """Return a message as it is sent: once, however many get it."""
    return orjson.dumps({"type": "message", **row}, option=orjson.OPT_UTC_Z).decode()


def encode_messages(encoded: Iterable[str]) -> str:
    """Return messages, each of them encoded already, as one frame."""
    return f'{{"type":"messages","messages":[{",".join(encoded)}]}}'
