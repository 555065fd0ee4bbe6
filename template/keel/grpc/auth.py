"""Authentication of calls, by the bearer token of their metadata."""

from functools import partial
from typing import Self

from fastapi import FastAPI

from keel.caller import Caller, Verification
from keel.grpc.asgi_scope import Context
from keel.identity import verify_caller
from keel.services import services_of


class Authentication:
    """The caller of a stream, checked again whenever the token expires."""

    def __init__(self, app: FastAPI, verification: Verification) -> None:
        self._app = app
        self._verification = verification

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
        verify = partial(verify_caller, app, bearer(context), scopes)
        return cls(app, Verification(await verify(), verify))

    @property
    def caller(self) -> Caller:
        """The caller."""
        return self._verification.verified.caller

    async def until_shutdown(self) -> None:
        """Return when the process begins to shut down.

        Raises:
            AppError: the token has expired or was revoked, or now lacks a scope.
        """
        await self._verification.until_shutdown(services_of(self._app).shutdown)


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
