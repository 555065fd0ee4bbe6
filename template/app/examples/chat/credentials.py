"""Who a client is, for as long as its token says so."""

import asyncio
import time
from collections.abc import Callable

from fastapi import FastAPI

from app.examples.chat.frames import Close
from keel.caller import Caller, VerifiedCaller
from keel.identity import verify_caller
from keel.web.errors import AppError

READ, WRITE = "chat:read", "chat:write"
"""Scopes."""


class Credentials:
    """A token, whom it stands for, and a look at it whenever that may have changed."""

    # Thousands of these are idle at a time.
    __slots__ = ("_app", "_close", "_identifying", "_identity", "_timer", "_token")

    def __init__(
        self, app: FastAPI, identity: VerifiedCaller, token: str | None, close: Callable[[Close], None]
    ) -> None:
        """Begin with somebody who has just been identified; `close` is called when they no longer are."""
        self._app = app
        self._identity = identity
        self._token = token
        self._close = close
        self._timer: asyncio.TimerHandle | None = None
        self._identifying: asyncio.Task[None] | None = None
        self._watch()

    @property
    def caller(self) -> Caller:
        """Return who it is."""
        return self._identity.caller

    def forget(self) -> list[asyncio.Task[None]]:
        """Look no more; return what is still to be stopped."""
        if self._timer:
            self._timer.cancel()
        return [self._identifying] if self._identifying else []

    def _watch(self) -> None:
        if self._timer:
            self._timer.cancel()
        if self._identity.expires_at is not None:
            seconds = max(0.0, self._identity.expires_at - time.time())
            self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        self._identifying = asyncio.create_task(self._identify(self._token))

    async def identify(self, token: str | None) -> None:
        """Identify the client anew by a token that it has sent; what becomes of the old one does not matter any more."""
        for task in self.forget():
            task.cancel()
        await self._identify(token)

    async def _identify(self, token: str | None) -> None:
        """Identify the client anew: by another token, or by the old one, which may have been revoked."""
        try:
            identity = await verify_caller(self._app, token, [READ])
        except AppError as error:
            self._close(Close.of(error))
            return
        if identity.caller.subject != self.caller.subject:
            self._close(Close.FORBIDDEN)
            return
        self._identity, self._token = identity, token
        self._watch()
