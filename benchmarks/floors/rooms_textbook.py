"""The textbook: FastAPI's documentation on WebSockets, `ConnectionManager`, with messages as JSON; stores nothing."""

import itertools
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()
numbers = itertools.count(1)


class ConnectionManager:
    """As in the documentation, with `send_json` for `send_text`."""

    def __init__(self) -> None:
        """Begin without connections."""
        self.active_connections: list[WebSocket] = []

    async def connect(self, websocket: WebSocket) -> None:
        """Accept a connection."""
        await websocket.accept()
        self.active_connections.append(websocket)

    def disconnect(self, websocket: WebSocket) -> None:
        """Forget a connection."""
        self.active_connections.remove(websocket)

    async def broadcast(self, message: dict[str, Any]) -> None:
        """Send a message to every connection."""
        for connection in self.active_connections:
            await connection.send_json(message)


manager = ConnectionManager()


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """Say that the process is alive."""
    return {"status": "ok"}


@app.websocket("/api/v1/chat/rooms/{room}/ws")
async def talk(websocket: WebSocket, room: str) -> None:  # noqa: ARG001 - of the path
    """Send what comes to every connection."""
    await manager.connect(websocket)
    try:
        while True:
            said = await websocket.receive_json()
            await manager.broadcast(
                {
                    "type": "message",
                    "id": next(numbers),
                    "client_id": said["client_id"],
                    "sender": "guest",
                    "body": said["body"],
                    "sent_at": datetime.now(UTC).isoformat(),
                }
            )
    except WebSocketDisconnect:
        manager.disconnect(websocket)
