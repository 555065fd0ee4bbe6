"""The floor: Starlette by hand. Encodes a message once and sends it to each connection in turn; stores nothing.

With `REDIS_URL`, several processes hear each other by its publish and subscribe.
"""

import asyncio
import itertools
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import orjson
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

CHANNEL = f"floor:{os.getppid()}"

connections: set[WebSocket] = set()
numbers = itertools.count(1)
redis = Redis.from_url(url) if (url := os.environ.get("REDIS_URL")) else None


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncGenerator[None]:
    """Listen while the process runs."""
    listening = asyncio.create_task(listen(redis)) if redis else None
    yield
    if listening:
        listening.cancel()


async def listen(redis: Redis) -> None:
    """Send what any process publishes to every connection of this one."""
    async with redis.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe(CHANNEL)
        async for message in pubsub.listen():
            await send(message["data"].decode())


async def send(frame: str) -> None:
    """Send a frame to every connection of this process."""
    for connection in list(connections):
        try:
            await connection.send_text(frame)
        except (WebSocketDisconnect, RuntimeError):
            # It has gone; the listener that serves all others must not end with it.
            connections.discard(connection)


async def healthz(_: Request) -> Response:
    """Say that the process is alive."""
    return Response(b"ok")


async def talk(websocket: WebSocket) -> None:
    """Send what comes to every connection."""
    await websocket.accept()
    connections.add(websocket)
    try:
        while True:
            said = orjson.loads(await websocket.receive_text())
            frame = orjson.dumps(
                {
                    "type": "message",
                    "id": next(numbers),
                    "client_id": said["client_id"],
                    "sender": "guest",
                    "body": said["body"],
                    "sent_at": datetime.now(UTC),
                }
            ).decode()
            await (redis.publish(CHANNEL, frame) if redis else send(frame))
    except WebSocketDisconnect:
        pass
    finally:
        connections.discard(websocket)


app = Starlette(
    routes=[Route("/healthz", healthz), WebSocketRoute("/api/v1/chat/rooms/{room}/ws", talk)],
    lifespan=lifespan,
)
