"""What a client says: read one frame at a time, within its rate, and answered by an error if it makes no sense."""

import asyncio
import secrets
import time
from typing import Protocol

import structlog
from fastapi import WebSocket
from pydantic import BaseModel, ValidationError

from app.examples.chat.credentials import WRITE, Credentials
from app.examples.chat.frames import CLIENT, Authenticate, ClientId, Close, ErrorFrame, Ping, Pong, SendMessage, encode
from app.examples.chat.hub import Hub, Listener
from app.examples.chat.hubs import Hubs
from app.examples.chat.service import Draft
from keel.caller import GUEST
from keel.services import services_of
from keel.web.errors import TooManyRequests

LONGEST_WAIT = 10.0
"""Seconds that nothing is read from a client that sends too much; its pongs must still be read in time."""

log = structlog.get_logger()


class Speaker(Listener, Protocol):
    """A listener whose connection can end."""

    def close(self, code: Close) -> None:
        """Send what waits, then close."""

    def lose(self) -> None:
        """Send nothing more: the client has gone."""


class _Named(BaseModel):
    client_id: ClientId


class Speech:
    """What one client says in a room."""

    # Thousands of these are idle at a time.
    __slots__ = ("_counted_as", "_credentials", "_hub", "_limit", "_settings", "_speaker", "_websocket")

    def __init__(self, websocket: WebSocket, speaker: Speaker, hub: Hub, hubs: Hubs, credentials: Credentials) -> None:
        self._websocket = websocket
        self._speaker = speaker
        self._hub = hub
        self._credentials = credentials
        self._settings = hubs.settings
        if credentials.caller == GUEST:
            # A guest cannot be told from others, so each of their connections counts as one, and only here.
            self._limit, self._counted_as = hubs.guests, secrets.token_hex(8)
        else:
            self._limit, self._counted_as = (
                services_of(websocket.app).rate_limit,
                f"subject:{credentials.caller.subject}",
            )

    async def run(self) -> None:
        """Read until the client goes, or sends what ends its connection."""
        try:
            while True:
                message = await self._websocket.receive()
                if message["type"] == "websocket.disconnect":
                    self._speaker.lose()
                    return
                text = message.get("text")
                if text is None:
                    self._speaker.close(Close.NOT_TEXT)
                    return
                if len(text.encode()) > self._settings.frame_size:
                    self._speaker.close(Close.TOO_BIG)
                    return
                await self._on_text(text)
        except Exception:  # noqa: BLE001 - the client is told that something is wrong, and nothing more
            await log.aexception("chat_connection_failed", room=str(self._hub.room_id))
            self._speaker.close(Close.BROKEN)

    async def _on_text(self, text: str) -> None:
        if not await self._may_speak():
            self._speaker.close(Close.TOO_MUCH)
            return
        try:
            frame = CLIENT.validate_json(text)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
            self._refuse("invalid-frame", f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}", text)
            return
        match frame:
            case SendMessage():
                await self._say(frame, text)
            case Authenticate():
                await self._credentials.identify(frame.token)
            case Ping():
                self._speaker.tell(encode(Pong()))

    async def _may_speak(self) -> bool:
        """Wait until the caller may send a frame: nothing is read meanwhile, so who sends too much is slowed down."""
        deadline = time.monotonic() + LONGEST_WAIT
        while True:
            try:
                await self._limit.spend(self._settings.message_rate, "chat", self._counted_as)
            except TooManyRequests as error:
                seconds = float(error.headers["Retry-After"])
                if time.monotonic() + seconds > deadline:
                    return False
                await asyncio.sleep(seconds)
            else:
                return True

    async def _say(self, frame: SendMessage, text: str) -> None:
        caller = self._credentials.caller
        if caller != GUEST and WRITE not in caller.scopes:
            self._refuse("forbidden", f"This needs the scope {WRITE}.", text)
            return
        await self._hub.say(self._speaker, Draft(caller.subject, frame.client_id, frame.body))

    def _refuse(self, code: str, detail: str, text: str) -> None:
        self._speaker.tell(
            encode(ErrorFrame.model_validate({"code": code, "detail": detail, "client_id": _named(text)}))
        )


def _named(text: str) -> str | None:
    """Return the client id in a frame that is not right, if there is one that can be found."""
    try:
        return _Named.model_validate_json(text).client_id
    except ValidationError:
        return None
