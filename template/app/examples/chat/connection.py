"""One connection, from its arrival on: what it is sent, by a task that waits for nobody else. Another one reads."""

import asyncio
import time

from fastapi import WebSocket, WebSocketDisconnect
from starlette.types import Send

from app.examples.chat.credentials import Credentials
from app.examples.chat.frames import Close, Ready, encode
from app.examples.chat.hub import Hub
from app.examples.chat.hubs import Hubs
from app.examples.chat.outbox import Batch, Outbox
from app.examples.chat.speech import Speech
from keel.background.asyncio_tasks import stop
from keel.caller import VerifiedCaller

CLOSING_SECONDS = 5.0
"""How long a client that reads nothing may hold up the end of its connection."""

REPLICA_SECONDS = 5.0
"""How long a replica may lag behind what a client has missed."""


class Connection:
    """A client in a room."""

    # Thousands of these are idle at a time.
    __slots__ = (
        "_closing",
        "_credentials",
        "_end",
        "_gone",
        "_hub",
        "_hubs",
        "_outbox",
        "_skip",
        "_to_client",
        "_websocket",
        "origin",
    )

    def __init__(self, websocket: WebSocket, send: Send, hubs: Hubs, hub: Hub, outbox: Outbox) -> None:
        self.origin = hub.last
        self._websocket = websocket
        self._to_client = send
        self._hubs = hubs
        self._hub = hub
        self._outbox = outbox
        self._skip = 0
        self._closing: Close | None = None
        self._gone = False
        self._end = asyncio.timeout(None)

    # --- What others call -----------------------------------------------------------------------------------------

    def push(self, batch: Batch) -> None:
        """Send messages of the room soon, but for those that the client has seen already."""
        if self._skip:
            unseen = batch.messages[self._skip :]
            self._skip = max(0, self._skip - len(batch.messages))
            if not unseen:
                return
            batch = Batch(unseen)
        if self._closing is None and not self._gone:
            self._outbox.add_batch(batch)
            self._bound()

    def tell(self, frame: str) -> None:
        """Send something else soon."""
        if self._closing is None and not self._gone:
            self._outbox.add(frame)
            self._bound()

    def _bound(self) -> None:
        """Disconnect whoever lets too much wait; they slow nobody else."""
        if len(self._outbox) > self._hubs.settings.backlog:
            self._outbox.clear()
            self.close(Close.TOO_SLOW)

    def close(self, code: Close) -> None:
        """Send what waits, then close."""
        if self._closing is None:
            self._closing = code
            # A client that reads nothing cannot be told why.
            self._end.reschedule(asyncio.get_running_loop().time() + CLOSING_SECONDS)
            self._outbox.rouse()

    def lose(self) -> None:
        """Send nothing more: the client has gone."""
        self._gone = True
        self._outbox.clear()
        self._outbox.rouse()

    # --- Its life -------------------------------------------------------------------------------------------------

    async def run(self, identity: VerifiedCaller, token: str | None, after: int | None) -> None:
        """Serve the client until one of both sides ends it; `after` is the last message that it has seen."""
        # No await from here to joining the listeners, so that nothing is missed or sent twice.
        until = self._hub.last
        if after is not None:
            self.origin = after
            # Another process may be ahead of this one: what the client has seen there, it skips here.
            self._skip = max(0, after - until)
        you = identity.caller.subject
        self._hub.listeners.add(self)
        self._hubs.connections.add(self)
        self._hub.attendance.come(you)
        credentials = Credentials(self._websocket.app, identity, token, self.close)
        speech = Speech(self._websocket, self, self._hub, self._hubs, credentials)
        reader = asyncio.create_task(speech.run())
        try:
            async with self._end:
                await self._send(encode(Ready(room=self._hub.room_id, you=you, last_message_id=until)))
                if self._hub.attendance.members:
                    await self._send(self._hub.attendance.frame)
                await self._replay(until)
                await self._write()
        except (WebSocketDisconnect, TimeoutError):
            pass
        finally:
            self._hub.attendance.go(you)
            self._hub.listeners.discard(self)
            self._hubs.connections.discard(self)
            await stop(reader, *credentials.forget())

    async def _replay(self, until: int) -> None:
        """Send what was said between the client's last message and its arrival; what is said meanwhile waits."""
        position = self.origin
        deadline = time.monotonic() + REPLICA_SECONDS
        while position < until and self._closing is not Close.TOO_SLOW:
            messages = self._hub.missed(position)
            # What came after the arrival waits already.
            messages = (
                await self._hub.fetch_missed(position, until) if messages is None else messages[: until - position]
            )
            for frame in self._outbox.packed(messages):
                await self._send(frame)
            position += len(messages)
            if messages:
                deadline = time.monotonic() + REPLICA_SECONDS
            elif time.monotonic() > deadline:
                # What waits may not be sent before what is missing.
                self._outbox.clear()
                self.close(Close.TRY_LATER)
                return
            else:
                await asyncio.sleep(0.1)

    async def _write(self) -> None:
        # Not through the WebSocket, which looks each time whether a frame may be sent now.
        send = self._to_client
        while True:
            try:
                while (frame := self._outbox.take()) is not None:
                    await send({"type": "websocket.send", "text": frame})
            except OSError as error:
                raise WebSocketDisconnect(1006) from error
            if self._gone:
                return
            if self._closing is not None:
                break
            await self._outbox.news()
        await self._websocket.close(int(self._closing), self._closing.meaning)

    async def _send(self, frame: str) -> None:
        await self._websocket.send({"type": "websocket.send", "text": frame})
