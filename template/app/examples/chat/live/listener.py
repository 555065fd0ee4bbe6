"""The interface that a room expects of a connection."""

from typing import Protocol

from pydantic import BaseModel

from app.examples.chat.live.batches import Batch


class Listener(Protocol):
    """A connection, as a room sees it."""

    last_seen: int
    """The last message that the client had seen when it connected."""

    def push(self, batch: Batch) -> None:
        """Queue messages of the room."""

    def send(self, frame: str | BaseModel) -> None:
        """Queue another frame."""
