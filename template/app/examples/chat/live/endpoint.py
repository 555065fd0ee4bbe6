"""The WebSocket endpoint of a room."""

from collections.abc import Awaitable
from typing import Annotated, TypedDict
from uuid import UUID

from fastapi import APIRouter, WebSocket
from fastapi.exceptions import WebSocketRequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send

from app.examples.chat.dependencies import READ
from app.examples.chat.live.connection import RoomConnection
from app.examples.chat.live.frames import BATCHED, SINGLE
from app.examples.chat.live.room import LiveRoom
from app.examples.chat.live.room_registry import Membership, RoomRegistry
from keel.web.errors import BadRequest
from keel.websockets.handshake import Handshake


class ChatState(TypedDict):
    """What the lifespan of the chat router yields."""

    chat_rooms: RoomRegistry


class HandshakeParams(BaseModel):
    """The parameters of a handshake: of its path and its query."""

    room: UUID
    after: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """The last message that the client has seen."""


class UnknownMessage(BadRequest):
    """The client has seen a message that does not exist."""

    type = "urn:problem:unknown-message"


async def enter_room(websocket: WebSocket[ChatState], send: Send) -> None:
    """Connect a client to a room; `app.examples.chat.live.documents` describes the frames."""
    params = _params(websocket)
    rooms = websocket.state["chat_rooms"]
    async with (
        Handshake(websocket, scopes=[READ], subprotocols=[BATCHED, SINGLE]) as handshake,
        Membership(rooms, params.room) as room,
    ):
        await _check(room, params.after)
        await handshake.accept()
        await RoomConnection(handshake, send, room, after=params.after).run()


class RoomSocket:
    """The endpoint as ASGI.

    FastAPI's own route for sockets keeps solved dependencies and their exit stacks for as long as a socket is open;
    Starlette's, which takes a function, three more coroutines. Both are memory of each idle connection.
    """

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one socket."""
        return enter_room(WebSocket[ChatState](scope, receive, send), send)


router = APIRouter(routes=[WebSocketRoute("/rooms/{room}/ws", RoomSocket())])


def _params(websocket: WebSocket[ChatState]) -> HandshakeParams:
    """Return the parameters, or refuse them as those of any request are refused."""
    try:
        return HandshakeParams.model_validate(dict(websocket.query_params) | websocket.path_params)
    except ValidationError as error:
        places = {"room": "path", "after": "query"}
        raise WebSocketRequestValidationError(
            [{**each, "loc": (places[str(each["loc"][0])], *each["loc"])} for each in error.errors()]
        ) from error


async def _check(room: LiveRoom, after: int | None) -> None:
    # Another process may be ahead of this one, but none is ahead of the database.
    if after is not None and after > room.last and after > await room.newest():
        raise UnknownMessage("`after` names a message that does not exist; connect without it.")
