"""The WebSocket of a room: the handshake, then a connection."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from fastapi.exceptions import WebSocketRequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send

from app.examples.chat.connection import Connection
from app.examples.chat.credentials import READ
from app.examples.chat.frames import BEARER, CLIENT, ONE_BY_ONE, TOGETHER, Authenticate, Close
from app.examples.chat.hub import Hub
from app.examples.chat.hubs import Hubs
from app.examples.chat.outbox import Outbox
from keel.caller import GUEST, VerifiedCaller
from keel.identity import verify_caller
from keel.services import services_of
from keel.web import origins
from keel.web.errors import AppError, BadRequest, Forbidden, Unavailable
from keel.web.rate_limit import client_address


class Place(BaseModel):
    """What the address of a handshake says."""

    room: UUID
    after: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """The last message that the client has seen."""


class OriginNotAllowed(Forbidden):
    """A page of another site tried to open a socket in its visitor's name."""

    type = "urn:problem:origin-not-allowed"


class UnknownMessage(BadRequest):
    """The client has seen a message that was never said."""

    type = "urn:problem:unknown-message"


async def enter_room(websocket: WebSocket, send: Send) -> None:
    """Talk in a room; `app.examples.chat.documents` describes what goes over the socket.

    A handshake that cannot succeed is answered by a problem document. A client without a token in its handshake is
    let in to send one; everything after that is told by the code with which the connection is closed.
    """
    place = _place(websocket)
    hubs: Hubs = websocket.app.state.chat
    if not origins.is_allowed(websocket.scope, services_of(websocket.app).settings):
        raise OriginNotAllowed("Pages of this origin may not connect; see CORS_ORIGINS.")
    if hubs.draining:
        raise Unavailable("The server restarts.")
    token, protocol = _offered(websocket.scope["subprotocols"])
    identity = await _identified(websocket, token)
    address = client_address(websocket.scope)
    accepted = identity is None
    if accepted:
        hubs.admit(address)
        try:
            await websocket.accept(protocol)
            token = await _first_token(websocket, hubs.settings.authenticate_seconds)
        finally:
            hubs.dismiss(address)
    try:
        identity = identity or await verify_caller(websocket.app, token, [READ])
        async with hubs.seat(_counted_as(identity, address), place.room) as hub:
            await _check(hub, place.after)
            if not accepted:
                await websocket.accept(protocol)
                accepted = True
            outbox = Outbox(together=protocol == TOGETHER)
            await Connection(websocket, send, hubs, hub, outbox).run(identity, token, place.after)
    except AppError as error:
        if not accepted:
            raise
        code = Close.of(error)
        with suppress(WebSocketDisconnect):
            await websocket.close(int(code), code.meaning)


class RoomSocket:
    """Enters a room, as ASGI.

    FastAPI's own route for sockets keeps what it has solved, and stacks for what dependencies leave behind, for as long as a
    socket is open; Starlette's, which takes a function, three more coroutines. Both are a part of an idle connection's memory.
    """

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one socket."""
        return enter_room(WebSocket(scope, receive, send), send)


router = APIRouter(routes=[WebSocketRoute("/chat/rooms/{room}/ws", RoomSocket())])


def _place(websocket: WebSocket) -> Place:
    """Return what the address says, or refuse it as any invalid request is refused."""
    try:
        return Place.model_validate(dict(websocket.query_params) | websocket.path_params)
    except ValidationError as error:
        named = {"room": "path", "after": "query"}
        raise WebSocketRequestValidationError(
            [{**each, "loc": (named[str(each["loc"][0])], *each["loc"])} for each in error.errors()]
        ) from error


def _offered(protocols: list[str]) -> tuple[str | None, str | None]:
    """Return the token that a client offers, if any, and the subprotocol to answer with: one that it offers."""
    token = None
    if BEARER in protocols:
        place = protocols.index(BEARER) + 1
        token = protocols[place] if place < len(protocols) else None
    return token, next((name for name in (TOGETHER, ONE_BY_ONE, BEARER) if name in protocols), None)


async def _identified(websocket: WebSocket, token: str | None) -> VerifiedCaller | None:
    """Return who is calling; None if they have not said so yet."""
    try:
        return await verify_caller(websocket.app, token, [READ])
    except AppError as error:
        if token is None and Close.of(error) is Close.NOT_SIGNED_IN:
            return None
        raise


async def _first_token(websocket: WebSocket, seconds: float) -> str | None:
    """Return the token in the first frame; None if it does not come, or something else does."""
    try:
        async with asyncio.timeout(seconds):
            message = await websocket.receive()
        frame = CLIENT.validate_json(message.get("text") or "")
    except (TimeoutError, ValidationError):
        return None
    return frame.token if isinstance(frame, Authenticate) else None


def _counted_as(identity: VerifiedCaller, address: str) -> str:
    return address if identity.caller == GUEST else f"subject:{identity.caller.subject}"


async def _check(hub: Hub, after: int | None) -> None:
    # Another process may be ahead of this one, but none is ahead of the database.
    if after is not None and after > hub.last and after > await hub.newest():
        raise UnknownMessage("That message was never said here; connect without `after`.")
