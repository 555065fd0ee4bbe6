"""The caller of a request."""

from dataclasses import dataclass


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
    """A caller, and how long its token proves it: connections that last longer verify the token again."""

    caller: Caller
    expires_at: float | None = None
    """Seconds since 1970 at which to verify the token again; None: never."""


GUEST = Caller(subject="guest")
