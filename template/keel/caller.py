"""The caller of a request, as every feature sees it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller: an opaque subject, which rows belong to, and the scopes of its token."""

    subject: str
    scopes: frozenset[str] = frozenset()

    def may(self, scope: str) -> bool:
        """Whether the caller has a scope. The guest of a project without sign-in has all of them."""
        return scope in self.scopes or self == GUEST


@dataclass(frozen=True, slots=True)
class VerifiedCaller:
    """A caller, and how long its token proves it: connections that last longer verify the token again."""

    caller: Caller
    expires_at: float | None = None
    """Seconds since 1970 at which to verify the token again; None: never."""


GUEST = Caller(subject="guest")
