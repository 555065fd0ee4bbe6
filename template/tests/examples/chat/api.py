"""Helpers for tests of chat: a room, and a client connected to it over a real socket."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from httpx2 import AsyncClient
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from keel.testing.identity import sign_in
from keel.testing.server import Server
from keel.testing.support import PATIENCE

ROOMS = "/api/v1/chat/rooms"
SINGLE, BATCHED = "keel.chat.v1", "keel.chat.v2"


async def open_room(client: AsyncClient, name: str = "Harbour") -> str:
    """Open a room; return its id."""
    answer = await client.post(ROOMS, json={"name": name})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


async def token_of(server: Server, name: str) -> str | None:
    """Return the token of a caller; None without a feature that signs callers in."""
    async with server.client() as client:
        await sign_in(client, name)
        return client.headers.get("Authorization", "").removeprefix("Bearer ") or None


def protocols(token: str | None, *versions: str) -> Sequence[Any]:
    """Return the subprotocols that a client offers."""
    offered = versions or (BATCHED, SINGLE)
    return [*offered, "bearer", token] if token else offered


def address(server: Server, room: str, after: int | None = None) -> str:
    """Return the address of a room's socket."""
    query = "" if after is None else f"?after={after}"
    return f"{server.url.replace('http', 'ws', 1)}{ROOMS}/{room}/ws{query}"


def messages_in(frame: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the messages of a frame, or else the frame."""
    return frame["messages"] if frame["type"] == "messages" else [frame]


def dial(server: Server, room: str, after: int | None = None, **options: Any) -> connect:
    """Return a connection to a room, for an `async with` block."""
    return connect(address(server, room, after), compression=None, proxy=None, open_timeout=PATIENCE, **options)


class ChatClient:
    """A client in a room."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._received: deque[dict[str, Any]] = deque()

    async def send(self, **frame: Any) -> None:
        """Send a frame."""
        await self.socket.send(json.dumps(frame))

    async def send_messages(self, *bodies: str) -> None:
        """Send messages; the body of each is its `client_id`, too."""
        for body in bodies:
            await self.send(type="message", client_id=body, body=body)

    async def next(self, kind: str = "message") -> dict[str, Any]:
        """Return the next frame of a kind, which may share a frame with others; skip other kinds."""
        async with asyncio.timeout(PATIENCE):
            while True:
                while self._received:
                    if (frame := self._received.popleft())["type"] == kind:
                        return frame
                self._received.extend(messages_in(json.loads(await self.socket.recv())))

    async def receive(self, count: int) -> list[str]:
        """Return the bodies of the next messages."""
        return [(await self.next())["body"] for _ in range(count)]

    async def closed(self) -> int | None:
        """Return the code with which the server closes the connection."""
        async with asyncio.timeout(PATIENCE):
            try:
                while True:
                    await self.socket.recv()
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else None


@asynccontextmanager
async def connected(
    server: Server, room: str, name: str = "ada", *versions: str, after: int | None = None, **options: Any
) -> AsyncGenerator[ChatClient]:
    """Be connected to a room while the block runs."""
    options = {"subprotocols": protocols(await token_of(server, name), *versions), **options}
    async with dial(server, room, after, **options) as socket:
        client = ChatClient(socket)
        await client.next("ready")
        yield client


@asynccontextmanager
async def many_connected(server: Server, room: str, count: int, *versions: str) -> AsyncGenerator[list[ChatClient]]:
    """Be connected to a room several times."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(connected(server, room, f"client-{n}", *versions)) for n in range(count)]
