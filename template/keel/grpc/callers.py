"""Who is calling, from the metadata of a call, by the same seam as everywhere."""

import asyncio
import time
from collections.abc import Sequence
from typing import Self

from fastapi import FastAPI

from keel.caller import Caller, VerifiedCaller
from keel.grpc.scopes import Context
from keel.identity import verify_caller
from keel.services import services_of
from keel.web.errors import Forbidden


class TokenSubjectMismatch(Forbidden):
    """The token stands for somebody else by now."""

    type = "urn:problem:token-subject-mismatch"


class Calling:
    """Somebody who calls, and for how long that is certain."""

    def __init__(self, app: FastAPI, token: str | None, scopes: Sequence[str], identity: VerifiedCaller) -> None:
        self._app = app
        self._token = token
        self._scopes = scopes
        self._identity = identity

    @classmethod
    async def identify(cls, app: FastAPI, context: Context, *scopes: str) -> Self:
        """Identify the caller.

        Args:
            app: the application.
            context: the call; its metadata may have `authorization: Bearer <token>` (RFC 6750).
            scopes: what the caller must be allowed.

        Raises:
            AppError: the caller is unknown, or may not do this.
        """
        token = bearer(context)
        return cls(app, token, scopes, await verify_caller(app, token, scopes))

    @property
    def caller(self) -> Caller:
        """Return who it is."""
        return self._identity.caller

    async def until_shutdown(self) -> None:
        """Return when the process is about to stop.

        Raises:
            AppError: the caller is no longer known, or may no longer do this.
        """
        while True:
            expires_at = self._identity.expires_at
            seconds = None if expires_at is None else max(0.0, expires_at - time.time())
            try:
                async with asyncio.timeout(seconds):
                    await services_of(self._app).shutdown.wait()
                    return
            except TimeoutError:
                await self._identify_again()

    async def _identify_again(self) -> None:
        identity = await verify_caller(self._app, self._token, self._scopes)
        if identity.caller.subject != self.caller.subject:
            raise TokenSubjectMismatch("The token stands for somebody else.")
        self._identity = identity


async def current_caller(app: FastAPI, context: Context, *scopes: str) -> Caller:
    """Return who calls, if they may do what needs the scopes.

    Raises:
        AppError: the caller is unknown, or may not do this.
    """
    return (await Calling.identify(app, context, *scopes)).caller


def bearer(context: Context) -> str | None:
    """Return the token of a call, if it has one."""
    for name, value in context.invocation_metadata() or ():
        if name == "authorization" and isinstance(value, str) and value[:7].lower() == "bearer ":
            return value[7:]
    return None
