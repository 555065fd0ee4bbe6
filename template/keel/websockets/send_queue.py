"""The queue of frames to send to one client."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any


class SendQueue:
    """Frames to send to one client, in order. `Connection` limits how many."""

    # Thousands of these are idle at once.
    __slots__ = ("_wake", "count", "items")

    def __init__(self) -> None:
        # Created on demand: an empty one is as large as the rest of this object.
        self.items: deque[Any] | None = None
        self.count = 0
        self._wake: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        """Return how many frames are queued; a subclass may count differently."""
        return self.count

    def put(self, frame: str) -> None:
        """Queue a frame."""
        self.extend(1, (frame,))

    def extend(self, count: int, items: Iterable[Any]) -> None:
        """Queue items that count as `count` frames; for subclasses, whose `take` encodes them."""
        if self.items is None:
            self.items = deque()
        self.items.extend(items)
        self.count += count
        self.wake()

    def take(self) -> str | None:
        """Return the next frame; None if the queue is empty."""
        if not self.items:
            self.items = None
            return None
        self.count -= 1
        return self.items.popleft()

    def clear(self) -> None:
        """Drop all queued frames."""
        self.items, self.count = None, 0

    def wake(self) -> None:
        """Let `wait` return."""
        if self._wake is not None:
            if not self._wake.done():
                self._wake.set_result(None)
            self._wake = None

    async def wait(self) -> None:
        """Return on the next `put` or `wake`."""
        self._wake = asyncio.get_running_loop().create_future()
        await self._wake
