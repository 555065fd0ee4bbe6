"""The caller of an open connection, checked again when the token expires or is replaced."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from fastapi import FastAPI

from keel.caller import Caller, Verification, VerifiedCaller
from keel.identity import verify_caller
from keel.web.errors import AppError
from keel.websockets.frames import CloseCode


class Credentials:
    """A token and its caller, identified again at `VerifiedCaller.expires_at` or when the client sends a new token."""

    # Thousands of these are idle at once.
    __slots__ = ("_app", "_close", "_identity", "_scopes", "_task", "_timer", "_token")

    def __init__(
        self,
        app: FastAPI,
        identity: VerifiedCaller,
        token: str | None,
        scopes: Sequence[str],
        close: Callable[[CloseCode], None],
    ) -> None:
        """Start with a caller that was just identified; `close` is called once the token is no longer valid."""
        self._app = app
        self._identity = identity
        self._token = token
        self._scopes = scopes
        self._close = close
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._schedule()

    @property
    def caller(self) -> Caller:
        """The caller as last identified."""
        return self._identity.caller

    def cancel(self) -> list[asyncio.Task[None]]:
        """Cancel the scheduled check; return a check under way, which the caller of this must stop."""
        if self._timer:
            self._timer.cancel()
        return [self._task] if self._task else []

    def _schedule(self) -> None:
        if self._timer:
            self._timer.cancel()
        if self._identity.expires_at is not None:
            seconds = max(0.0, self._identity.expires_at - time.time())
            self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        # Check the same token again: it may be one that can be revoked, so it is looked up periodically.
        self._task = asyncio.create_task(self._identify(self._token))

    async def renew(self, token: str) -> None:
        """Identify the caller by a new token; the result for the old one no longer matters."""
        for task in self.cancel():
            task.cancel()
        await self._identify(token)

    async def _identify(self, token: str | None) -> None:
        verification = Verification(self._identity, partial(verify_caller, self._app, token, self._scopes))
        try:
            await verification.repeat()
        except AppError as error:
            self._close(CloseCode.of(error))
            return
        self._identity, self._token = verification.verified, token
        self._schedule()
