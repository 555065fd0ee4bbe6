"""Changes to rows, reported to listeners within their transaction, and to live streams after the commit."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from pydantic import BaseModel

from keel.db.database import Session
from keel.messaging.pubsub import PubSub


@dataclass(frozen=True, slots=True)
class Change:
    """A change to rows of one owner, in one transaction."""

    kind: str
    """The kind of rows, such as `notes`."""
    owner_id: str
    event: str
    """`created`, `updated` or `deleted`."""
    rows: Sequence[BaseModel]
    """The rows as callers see them; deleted ones as they were."""


Listener = Callable[[Session, Change], Awaitable[None]]
"""Called within the transaction; if it raises, the change fails."""


class Changes:
    """Notifies listeners, then the owner's live streams: topic `<kind>:<owner>`, one message per row."""

    def __init__(self, pubsub: Callable[[], PubSub]) -> None:
        self._pubsub = pubsub
        self._listeners: list[tuple[str, Listener]] = []

    def listen(self, kind: str, listener: Listener) -> None:
        """Call a listener for every change to rows of a kind."""
        self._listeners.append((kind, listener))

    async def publish(self, session: Session, change: Change) -> None:
        """Publish a change that belongs to a transaction."""
        for kind, listener in self._listeners:
            if kind == change.kind:
                await listener(session, change)
        topic = f"{change.kind}:{change.owner_id}"
        for row in change.rows:
            session.after_commit(partial(self._pubsub().publish, topic, change.event, row.model_dump_json()))
