"""Consumers: what a package does with events."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from keel.db.database import Session
from keel.kafka.cloudevents.envelope import Received

Handle = Callable[[Session, Received], Awaitable[None]]
"""Handles an event in a transaction that is committed when it returns; raises to be tried again later.

What it stores with the session is stored once per event. What it does besides, such as calling another service, may happen
again, as with any attempt that does not get as far as the commit.
"""

Reset = Callable[[Session], Awaitable[None]]
"""Deletes all that a consumer has stored, so that it can be made anew from the topics."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """A consumer: its processes share the partitions of some topics, and each event is handled once."""

    name: str
    """Lower case; the group is `<prefix>.<name>`. With another name it is another consumer, which begins at the beginning."""

    aggregates: Sequence[str]
    """Whose events it reads, such as `notes`: topics without their prefix."""

    handle: Handle
    reset: Reset | None = None
    """For `python -m app kafka rebuild NAME`; None: it cannot be rebuilt."""
