"""Frames that every endpoint understands, and the codes with which the server closes a connection."""

from enum import IntEnum
from functools import reduce
from http import HTTPStatus
from operator import or_
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from keel.web.errors import AppError

BEARER = "bearer"
"""The subprotocol that a client offers just before its token: scripts in browsers cannot set headers."""


class Authenticate(BaseModel):
    """Send a token: as the first frame if the handshake had none, and later before the current token expires."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["authenticate"]
    token: Annotated[str, Field(min_length=1, max_length=8192)]


class Ping(BaseModel):
    """Ask for a pong; scripts in browsers cannot send a ping frame of the WebSocket protocol."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["ping"]


class Pong(BaseModel):
    """The answer to a ping."""

    type: Literal["pong"] = "pong"


class ErrorFrame(BaseModel):
    """A frame from the client had no effect; the connection stays open."""

    type: Literal["error"] = "error"
    code: str = Field(description="`invalid-frame`, or a code of the endpoint.")
    detail: str


def client_frames(*frames: type[BaseModel]) -> TypeAdapter[Any]:
    """Return the decoder of a client's frames: an endpoint's, `Authenticate` and `Ping`, discriminated by `type`."""
    union: Any = reduce(or_, (*frames, Authenticate, Ping))
    return TypeAdapter(Annotated[union, Field(discriminator="type")])


def encode(frame: BaseModel) -> str:
    """Return a frame as JSON, without fields that are None."""
    return frame.model_dump_json(exclude_none=True)


class CloseCode(IntEnum):
    """Why the server closes a connection (RFC 6455, 7.4; codes from 4000 on are this project's)."""

    UNSUPPORTED_DATA = 1003
    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    UNAUTHENTICATED = 4401
    FORBIDDEN = 4403
    NOT_FOUND = 4404
    SLOW_CONSUMER = 4408
    RATE_LIMITED = 4429

    @property
    def reason(self) -> str:
        """What happened and what the client should do: at most 123 bytes, as RFC 6455 requires."""
        return _REASONS[self]

    @classmethod
    def of(cls, error: AppError) -> Self:
        """Return the close code for an error that would be the response to an HTTP request."""
        return cls(_BY_STATUS.get(error.status, cls.INTERNAL_ERROR))


_BY_STATUS = {
    HTTPStatus.UNAUTHORIZED: CloseCode.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: CloseCode.FORBIDDEN,
    HTTPStatus.NOT_FOUND: CloseCode.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS: CloseCode.RATE_LIMITED,
    HTTPStatus.SERVICE_UNAVAILABLE: CloseCode.TRY_AGAIN_LATER,
}

_REASONS = {
    CloseCode.UNSUPPORTED_DATA: "Binary frames are not supported; send text.",
    CloseCode.MESSAGE_TOO_BIG: "The frame was too large.",
    CloseCode.INTERNAL_ERROR: "Internal error; reconnect after a pause.",
    CloseCode.SERVICE_RESTART: "The server restarts; reconnect soon.",
    CloseCode.TRY_AGAIN_LATER: "A dependency did not answer; reconnect after a pause.",
    CloseCode.UNAUTHENTICATED: "No valid token in time, or it expired; get a new one, then reconnect.",
    CloseCode.FORBIDDEN: "The token does not allow this, or belongs to another caller; do not reconnect.",
    CloseCode.NOT_FOUND: "Not found; do not reconnect.",
    CloseCode.SLOW_CONSUMER: "The client reads too slowly; reconnect.",
    CloseCode.RATE_LIMITED: "Too many frames or connections; reconnect after a pause.",
}
