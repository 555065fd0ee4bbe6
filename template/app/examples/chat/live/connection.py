"""One client in a room."""

import asyncio
import time
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.types import Send

from app.examples.chat.dependencies import WRITE
from app.examples.chat.live.batches import Batch, MessageQueue
from app.examples.chat.live.frames import BATCHED, CLIENT, ClientId, MessageError, Ready, SendMessage
from app.examples.chat.live.room import LiveRoom
from app.examples.chat.message_store import Draft
from keel.websockets.connection import Connection
from keel.websockets.frames import CloseCode, encode
from keel.websockets.handshake import Handshake

REPLICA_SECONDS = 5.0
"""How long a replica may lag behind the messages that a client has missed."""


class RoomConnection(Connection):
    """A client in a room. It is constructed and run without an await in between, so that no message is missed or sent twice."""

    frames = CLIENT

    __slots__ = ("_messages", "_room", "_skip", "_subject", "_until", "last_seen")

    def __init__(self, handshake: Handshake, send: Send, room: LiveRoom, *, after: int | None) -> None:
        """Join a room; `after` is the last message that the client has seen."""
        self._messages = MessageQueue(batched=handshake.subprotocol == BATCHED)
        super().__init__(handshake, send=send, queue=self._messages)
        self._room = room
        self._subject = handshake.identity.caller.subject
        self._until = room.last
        self.last_seen = room.last if after is None else after
        # Another process may be ahead of this one: messages that the client has received there are skipped here.
        self._skip = max(0, self.last_seen - room.last)

    def opened(self) -> None:
        """Receive the messages of the room from now on."""
        self._room.listeners.add(self)
        self._room.presence.join(self._subject)

    def closed(self) -> None:
        """Leave the room."""
        self._room.presence.leave(self._subject)
        self._room.listeners.discard(self)

    async def start(self) -> None:
        """Send `Ready` and the members, then the messages that the client has missed; newer ones wait in the queue."""
        ready = Ready(room=self._room.room_id, you=self._subject, last_message_id=self._until)
        await self.send_now(encode(ready))
        if self._room.presence.members:
            await self.send_now(self._room.presence.frame)
        await self._replay()

    def push(self, batch: Batch) -> None:
        """Queue messages of the room, except those that the client has seen already."""
        if self._skip:
            unseen = batch.messages[self._skip :]
            self._skip = max(0, self._skip - len(batch.messages))
            if not unseen:
                return
            batch = Batch(unseen)
        if self.is_open:
            self._messages.put_batch(batch)
            self.limit_queue()

    async def receive(self, frame: SendMessage) -> None:
        """Store a message."""
        if not self.caller.may(WRITE):
            self.send(
                MessageError(code="forbidden", detail=f"This needs the scope {WRITE}.", client_id=frame.client_id)
            )
            return
        await self._room.submit(self, Draft(self.caller.subject, frame.client_id, frame.body))

    def reject(self, code: Any, detail: str, text: str) -> None:
        """Answer an invalid frame, with its `client_id` if one can be found."""
        self.send(MessageError(code=code, detail=detail, client_id=_client_id(text)))

    async def _replay(self) -> None:
        """Send the messages between the client's last one and the newest one when it connected."""
        position = self.last_seen
        deadline = time.monotonic() + REPLICA_SECONDS
        while position < self._until and self.closing is not CloseCode.SLOW_CONSUMER:
            messages = self._room.missed(position)
            # Messages that came after it connected are queued already.
            messages = (
                await self._room.fetch_missed(position, self._until)
                if messages is None
                else messages[: self._until - position]
            )
            for frame in self._messages.packed(messages):
                await self.send_now(frame)
            position += len(messages)
            if messages:
                deadline = time.monotonic() + REPLICA_SECONDS
            elif time.monotonic() > deadline:
                # Queued messages must not overtake missing ones.
                self.queue.clear()
                self.close(CloseCode.TRY_AGAIN_LATER)
                return
            else:
                await asyncio.sleep(0.1)


class _Identified(BaseModel):
    client_id: ClientId


def _client_id(text: str) -> str | None:
    try:
        return _Identified.model_validate_json(text).client_id
    except ValidationError:
        return None
