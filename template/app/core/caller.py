"""The caller of a request, as every feature sees it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who calls: an opaque subject, which rows belong to, and what they may do."""

    subject: str
    scopes: frozenset[str] = frozenset()


GUEST = Caller(subject="guest")
