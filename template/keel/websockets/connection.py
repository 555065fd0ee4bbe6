"""One open connection: one task writes, independent of other clients, and another reads."""

import asyncio
from typing import Any, ClassVar

from fastapi import WebSocketDisconnect
from pydantic import BaseModel, TypeAdapter
from starlette.types import Send

from keel.background.asyncio_tasks import stop
from keel.caller import Caller
from keel.websockets.credentials import Credentials
from keel.websockets.frames import CloseCode, ErrorFrame, client_frames, encode
from keel.websockets.handshake import Handshake
from keel.websockets.inbound import Inbound
from keel.websockets.send_queue import SendQueue

CLOSE_SECONDS = 5.0
"""Seconds that a client that does not read may delay the end of its connection."""


class Connection:
    """An open connection. An endpoint subclasses it, and overrides `receive` and other methods as needed."""

    frames: ClassVar[TypeAdapter[Any]] = client_frames()
    """Decodes the frames of clients: `client_frames(...)` with the endpoint's models."""

    # Thousands of these are idle at once.
    __slots__ = ("_closing", "_credentials", "_deadline", "_gone", "_send", "handshake", "queue")

    def __init__(self, handshake: Handshake, *, send: Send | None = None, queue: SendQueue | None = None) -> None:
        """Serve an accepted handshake.

        Args:
            handshake: must stay open as long as `run`.
            send: the ASGI callable, if the endpoint has it: this skips the checks of `WebSocket.send` on every frame.
            queue: the endpoint's own queue.
        """
        self.handshake = handshake
        self.queue = SendQueue() if queue is None else queue
        self._send = send or handshake.websocket.send
        self._closing: CloseCode | None = None
        self._gone = False
        self._deadline = asyncio.timeout(None)
        self._credentials: Credentials | None = None

    # --- What an endpoint overrides -------------------------------------------------------------------------------

    def opened(self) -> None:
        """Called first; without any await since construction if `run` follows that directly."""

    async def start(self) -> None:
        """Send frames ahead of all queued ones with `send_now`; the client's frames are read meanwhile."""

    async def receive(self, frame: Any) -> None:
        """Handle a frame that `frames` has decoded; the next one is read when this returns.

        An error closes the connection: an `AppError` with the code for it, any other with 1011 and a line in the log.
        """

    def reject(self, code: str, detail: str, text: str) -> None:  # noqa: ARG002 - an endpoint may use it
        """Answer a frame that has no effect; `text` is the frame as received."""
        self.send(encode(ErrorFrame(code=code, detail=detail)))

    def closed(self) -> None:
        """Called last, however the connection ended, if `opened` was."""

    # --- What an endpoint and others call -------------------------------------------------------------------------

    @property
    def caller(self) -> Caller:
        """The caller of the last token that was checked."""
        return self._credentials.caller if self._credentials else self.handshake.identity.caller

    @property
    def is_open(self) -> bool:
        """Whether frames are still accepted for sending."""
        return self._closing is None and not self._gone

    @property
    def closing(self) -> CloseCode | None:
        """The code with which the connection is about to be closed."""
        return self._closing

    def send(self, frame: str | BaseModel) -> None:
        """Queue a frame; a client with too many queued frames is disconnected (4408)."""
        if self.is_open:
            self.queue.put(frame if isinstance(frame, str) else encode(frame))
            self.limit_queue()

    def limit_queue(self) -> None:
        """Disconnect a client that reads too slowly, so that others need not wait. For endpoints that fill `queue`."""
        if len(self.queue) > self.handshake.registry.settings.send_queue_size:
            self.queue.clear()
            self.close(CloseCode.SLOW_CONSUMER)

    async def send_now(self, frame: str) -> None:
        """Send a frame ahead of the queued ones; for `start` only."""
        await self.handshake.websocket.send({"type": "websocket.send", "text": frame})

    def close(self, code: CloseCode) -> None:
        """Send the queued frames, then close."""
        if self.is_open:
            self._closing = code
            # A client that does not read cannot receive the reason.
            self._deadline.reschedule(asyncio.get_running_loop().time() + CLOSE_SECONDS)
            self.queue.wake()

    def lose(self) -> None:
        """Send nothing more: the client has disconnected."""
        self._gone = True
        self.queue.clear()
        self.queue.wake()

    async def renew(self, token: str) -> None:
        """Identify the caller by a new token; an invalid one, or another caller's, closes the connection."""
        if self._credentials:
            await self._credentials.renew(token)

    # --- Its life -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the client until either side closes the connection."""
        handshake = self.handshake
        self.opened()
        handshake.registry.connections.add(self)
        credentials = self._credentials = Credentials(
            handshake.websocket.app, handshake.identity, handshake.token, handshake.scopes, self.close
        )
        reader = asyncio.create_task(Inbound(self).run())
        try:
            async with self._deadline:
                await self.start()
                await self._write()
        except (WebSocketDisconnect, TimeoutError):
            pass
        finally:
            self._gone = True
            self.closed()
            handshake.registry.connections.discard(self)
            await stop(reader, *credentials.cancel())

    async def _write(self) -> None:
        while True:
            try:
                while (frame := self.queue.take()) is not None:
                    await self._send({"type": "websocket.send", "text": frame})
            except OSError as error:
                raise WebSocketDisconnect(1006) from error
            if self._gone:
                return
            if self._closing is not None:
                break
            await self.queue.wait()
        await self.handshake.websocket.close(int(self._closing), self._closing.reason)
