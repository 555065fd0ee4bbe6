"""Consumers, declared by packages to handle events."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from keel.db.database import Session
from keel.kafka.cloudevents.envelope import Received

Handle = Callable[[Session, Received], Awaitable[None]]
"""Handles an event in a transaction that is committed on return. An exception schedules a retry.

Changes made with the session take effect once per event. Other effects, such as calls to another service, are repeated
if an attempt fails before the commit.
"""

Reset = Callable[[Session], Awaitable[None]]
"""Deletes all data of a consumer, for a rebuild from the topics."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """A consumer: its processes share the partitions of its topics, and each event takes effect once."""

    name: str
    """Lower case; the group is `<prefix>.<name>`. A renamed consumer is a new one, which starts from the beginning."""

    aggregates: Sequence[str]
    """Aggregates whose events it reads, such as `notes`: topics without the prefix."""

    handle: Handle
    reset: Reset | None = None
    """For `python -m app kafka rebuild NAME`; None: it cannot be rebuilt."""
