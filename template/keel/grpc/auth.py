"""Authentication of calls, by the bearer token of their metadata."""

import asyncio
import time
from collections.abc import Sequence
from typing import Self

from fastapi import FastAPI

from keel.caller import Caller, VerifiedCaller
from keel.grpc.asgi_scope import Context
from keel.identity import verify_caller
from keel.services import services_of
from keel.web.errors import Forbidden


class TokenSubjectMismatch(Forbidden):
    """The token now belongs to another subject than when the stream began."""

    type = "urn:problem:token-subject-mismatch"


class Authentication:
    """The caller of a stream, checked again whenever the token expires."""

    def __init__(self, app: FastAPI, token: str | None, scopes: Sequence[str], verified: VerifiedCaller) -> None:
        self._app = app
        self._token = token
        self._scopes = scopes
        self._verified = verified

    @classmethod
    async def of(cls, app: FastAPI, context: Context, *scopes: str) -> Self:
        """Authenticate a call.

        Args:
            app: the application.
            context: the call; its metadata may have `authorization: Bearer <token>` (RFC 6750).
            scopes: those that the caller must have.

        Raises:
            AppError: the token is not valid, or lacks a scope.
        """
        token = bearer(context)
        return cls(app, token, scopes, await verify_caller(app, token, scopes))

    @property
    def caller(self) -> Caller:
        """The caller."""
        return self._verified.caller

    async def until_shutdown(self) -> None:
        """Return when the process begins to shut down.

        Raises:
            AppError: the token has expired or was revoked, or lacks a scope by now.
        """
        while True:
            expires_at = self._verified.expires_at
            seconds = None if expires_at is None else max(0.0, expires_at - time.time())
            try:
                async with asyncio.timeout(seconds):
                    await services_of(self._app).shutdown.wait()
                    return
            except TimeoutError:
                await self._verify_again()

    async def _verify_again(self) -> None:
        verified = await verify_caller(self._app, self._token, self._scopes)
        if verified.caller.subject != self.caller.subject:
            raise TokenSubjectMismatch("The token belongs to another subject.")
        self._verified = verified


async def current_caller(app: FastAPI, context: Context, *scopes: str) -> Caller:
    """Return the caller, if it has the scopes.

    Raises:
        AppError: the token is not valid, or lacks a scope.
    """
    return (await Authentication.of(app, context, *scopes)).caller


def bearer(context: Context) -> str | None:
    """Return the bearer token of a call, if it has one (RFC 6750)."""
    for name, value in context.invocation_metadata() or ():
        if name == "authorization" and isinstance(value, str) and value[:7].lower() == "bearer ":
            return value[7:]
    return None
