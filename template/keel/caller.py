"""The caller of a request, as every feature sees it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who calls: an opaque subject, which rows belong to, and what they may do."""

    subject: str
    scopes: frozenset[str] = frozenset()

    def may(self, scope: str) -> bool:
        """Whether the caller may do something. Where nobody signs in, everybody may."""
        return scope in self.scopes or self == GUEST


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller on a connection that lasts, and until when that is certain."""

    caller: Caller
    expires_at: float | None = None
    """Seconds since 1970 at which to identify the caller again; None: never."""


GUEST = Caller(subject="guest")
