"""A client's frames: read one at a time, rate-limited, decoded, and passed to the connection."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING

import structlog
from pydantic import ValidationError

from keel.caller import GUEST
from keel.services import services_of
from keel.web.errors import AppError, TooManyRequests
from keel.websockets.frames import Authenticate, CloseCode, Ping, Pong

if TYPE_CHECKING:
    from keel.websockets.connection import Connection

MAX_WAIT = 10.0
"""Seconds for which a client that exceeds its rate is not read; short enough to read its pongs in time."""

log = structlog.get_logger()


class Inbound:
    """The frames of one client."""

    # Thousands of these are idle at once.
    __slots__ = ("_connection", "_key", "_rate_limit")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        if connection.caller == GUEST:
            # Guests cannot be distinguished, so each of their connections counts by itself, in this process only.
            self._rate_limit, self._key = connection.handshake.registry.guest_rate_limit, secrets.token_hex(8)
        else:
            self._rate_limit = services_of(connection.handshake.websocket.app).rate_limit
            self._key = f"subject:{connection.caller.subject}"

    async def run(self) -> None:
        """Read until the client disconnects, or sends something that closes its connection."""
        websocket, registry = self._connection.handshake.websocket, self._connection.handshake.registry
        try:
            while True:
                message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    self._connection.lose()
                    return
                text = message.get("text")
                if text is None:
                    self._connection.close(CloseCode.UNSUPPORTED_DATA)
                    return
                if len(text.encode()) > registry.settings.max_frame_size:
                    self._connection.close(CloseCode.MESSAGE_TOO_BIG)
                    return
                await self._on_text(text)
        except AppError as error:
            self._connection.close(CloseCode.of(error))
        except Exception:  # noqa: BLE001 - the client only learns that there was an error
            await log.aexception("websocket_failed", path=websocket.url.path)
            self._connection.close(CloseCode.INTERNAL_ERROR)

    async def _on_text(self, text: str) -> None:
        if not await self._within_rate():
            self._connection.close(CloseCode.RATE_LIMITED)
            return
        try:
            frame = self._connection.frames.validate_json(text)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
            detail = f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            self._connection.reject("invalid-frame", detail, text)
            return
        match frame:
            case Authenticate():
                await self._connection.renew(frame.token)
            case Ping():
                self._connection.send(Pong())
            case _:
                await self._connection.receive(frame)

    async def _within_rate(self) -> bool:
        """Wait until the rate allows a frame, unless that takes too long: not reading slows the client down."""
        deadline = time.monotonic() + MAX_WAIT
        while True:
            try:
                rate = self._connection.handshake.registry.settings.message_rate
                await self._rate_limit.spend(rate, "websockets", self._key)
            except TooManyRequests as error:
                seconds = float(error.headers["Retry-After"])
                if time.monotonic() + seconds > deadline:
                    return False
                await asyncio.sleep(seconds)
            else:
                return True
