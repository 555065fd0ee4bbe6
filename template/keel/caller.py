"""The caller of a request."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from keel.background.shutdown import Shutdown
from keel.web.errors import Forbidden


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller: an opaque subject, which owns rows, and the granted scopes."""

    subject: str
    scopes: frozenset[str] = frozenset()

    def may(self, scope: str) -> bool:
        """Whether the caller has a scope. Without sign-in, the guest has all of them."""
        return scope in self.scopes or self == GUEST


@dataclass(frozen=True, slots=True)
class VerifiedCaller:
    """A caller, and how long its token is proof of it: connections that last longer verify the token again."""

    caller: Caller
    expires_at: float | None = None
    """Unix time at which to verify the token again; None for never."""


GUEST = Caller(subject="guest")


class TokenSubjectMismatch(Forbidden):
    """The token now belongs to another subject than at the start of the response."""

    type = "urn:problem:token-subject-mismatch"


@dataclass(slots=True)
class Verification:
    """The caller of a long response, and how to verify it again, so that streams in any protocol end with the token."""

    verified: VerifiedCaller
    again: Callable[[], Awaitable[VerifiedCaller]]

    async def repeat(self) -> None:
        """Verify the caller again.

        Raises:
            AppError: the token is no longer valid, now lacks a scope, or belongs to another subject.
        """
        verified = await self.again()
        if verified.caller.subject != self.verified.caller.subject:
            raise TokenSubjectMismatch("The token belongs to another subject.")
        self.verified = verified

    async def until_shutdown(self, shutdown: Shutdown) -> None:
        """Return when the process begins to stop; `repeat` whenever the token expires, and let its errors propagate."""
        while True:
            expires_at = self.verified.expires_at
            with suppress(TimeoutError):
                async with asyncio.timeout(None if expires_at is None else max(0.0, expires_at - time.time())):
                    return await shutdown.wait()
            await self.repeat()
