"""A small endpoint, as an owner would write it, and a client."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import APIRouter, WebSocket
from pydantic import BaseModel, Field
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from keel.testing.server import Server
from keel.testing.support import PATIENCE
from keel.web.errors import NotFound
from keel.websockets.connection import Connection
from keel.websockets.frames import client_frames
from keel.websockets.handshake import Handshake

PATH = "/api/v1/echo"


class Say(BaseModel):
    """Ask for an echo."""

    type: Literal["say"]
    text: Annotated[str, Field(max_length=5000)]


class Said(BaseModel):
    """An echo."""

    type: Literal["said"] = "said"
    text: str
    caller: str


class EchoConnection(Connection):
    """Sends back what it receives, and records its events."""

    frames = client_frames(Say)
    events: list[str]

    __slots__ = ("events",)

    def opened(self) -> None:
        """Record it."""
        self.events = ["opened"]

    async def start(self) -> None:
        """Greet."""
        await self.send_now('{"type":"hello"}')

    async def receive(self, frame: Say) -> None:
        """Send it back; some words fail."""
        if frame.text == "bug":
            raise RuntimeError("a secret")
        if frame.text == "missing":
            raise NotFound("There is none.")
        self.send(Said(text=frame.text, caller=self.caller.subject))

    def closed(self) -> None:
        """Note it."""
        self.events.append("closed")


router = APIRouter()


@router.websocket(PATH)
async def echo(websocket: WebSocket) -> None:
    """Echo, for callers with the scope."""
    async with Handshake(websocket, scopes=["echo"], subprotocols=["echo.v2", "echo.v1"]) as handshake:
        if "missing" in websocket.query_params:
            raise NotFound("There is none.")
        await handshake.accept()
        await EchoConnection(handshake).run()


class Client:
    """A client of the endpoint."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, **frame: Any) -> None:
        """Send a frame."""
        await self.socket.send(json.dumps(frame))

    async def next(self, kind: str = "said") -> dict[str, Any]:
        """Return the next frame of a kind; skip others."""
        async with asyncio.timeout(PATIENCE):
            while (frame := json.loads(await self.socket.recv()))["type"] != kind:
                pass
        return frame

    async def echoed(self, text: str) -> dict[str, Any]:
        """Send a text, and return its echo."""
        await self.send(type="say", text=text)
        return await self.next()

    async def closed(self) -> int | None:
        """Return the code with which the server closes the connection."""
        async with asyncio.timeout(PATIENCE):
            try:
                while True:
                    await self.socket.recv()
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else None


def dial(server: Server, caller: str | None = "ada", *, query: str = "", **options: Any) -> connect:
    """Return a connection to the endpoint, for an `async with` block; the name of a caller is their token."""
    offered: Any = ["bearer", caller] if caller else None
    options = {"subprotocols": offered, **options}
    url = f"{server.url.replace('http', 'ws', 1)}{PATH}{query}"
    return connect(url, compression=None, proxy=None, open_timeout=PATIENCE, **options)


@asynccontextmanager
async def connected(server: Server, caller: str | None = "ada", **options: Any) -> AsyncGenerator[Client]:
    """Stay connected while the block runs."""
    async with dial(server, caller, **options) as socket:
        client = Client(socket)
        await client.next("hello")
        yield client
