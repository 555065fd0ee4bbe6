"""Clients in a chat room, as the documentation describes them: they resume, and send unacknowledged messages again."""

from __future__ import annotations

import asyncio
import json
import random
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

if TYPE_CHECKING:
    from tests.proof.front import Front

ROOMS = "/api/v1/chat/rooms"


class ChatClient:
    """A client in a room."""

    def __init__(self, front: Front, name: str, room: str, token: str) -> None:
        """Prepare a client of that name."""
        self.ids: list[int] = []
        self.bodies: list[str] = []
        self.sent: list[str] = []
        self.unsent: dict[str, str] = {}
        self.active = True
        self.room = room
        self._front = front
        self._name = name
        self._protocols: list[Any] = ["keel.chat.v1", "bearer", token]
        self._dice = random.Random(name)  # noqa: S311 - when to send

    async def run(self) -> None:
        """Send and receive until cancelled."""
        options: dict[str, Any] = {
            "compression": None,
            "proxy": None,
            "max_queue": None,
            "close_timeout": 0.1,
        }
        while True:
            after = self.ids[-1] if self.ids else 0
            url = f"ws://{self._front.pick()}{ROOMS}/{self.room}/ws?after={after}"
            try:
                async with connect(url, subprotocols=self._protocols, **options) as connection:
                    sending = {asyncio.create_task(self._send_all(connection))}
                    try:
                        while True:
                            frame = json.loads(await connection.recv())
                            self._receive(frame)
                            if frame["type"] == "error":
                                sending.add(asyncio.create_task(self._resend(connection, frame)))
                    finally:
                        for task in sending:
                            task.cancel()
                        await asyncio.gather(*sending, return_exceptions=True)
            except ConnectionClosed as closed:
                self._front.counts[f"socket closed {closed.rcvd.code if closed.rcvd else 1006}"] += 1
            except InvalidStatus as refused:
                self._front.counts[f"socket refused {refused.response.status_code}"] += 1
            except (OSError, WebSocketException, EOFError, TimeoutError):
                self._front.counts["socket not opened"] += 1
            await asyncio.sleep(self._dice.uniform(0.05, 0.3))

    async def _send_all(self, connection: ClientConnection) -> None:
        for client_id in list(self.unsent):
            await self._send(connection, client_id)
        while self.active:
            await asyncio.sleep(self._dice.uniform(0.2, 1))
            client_id = f"{self._name}-{len(self.sent)}"
            self.sent.append(client_id)
            self.unsent[client_id] = client_id
            await self._send(connection, client_id)

    async def _resend(self, connection: ClientConnection, frame: dict[str, Any]) -> None:
        """Send again what the server could not store."""
        self._front.counts[f"message {frame['code']}"] += 1
        await asyncio.sleep(self._dice.uniform(0.2, 0.5))
        if frame["code"] == "unavailable" and frame["client_id"] in self.unsent:
            await self._send(connection, frame["client_id"])

    async def _send(self, connection: ClientConnection, client_id: str) -> None:
        frame = {"type": "message", "client_id": client_id, "body": self.unsent[client_id]}
        await connection.send(json.dumps(frame))

    def _receive(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "message":
            self.ids.append(int(frame["id"]))
            self.bodies.append(str(frame["body"]))
            self.unsent.pop(str(frame["client_id"]), None)
