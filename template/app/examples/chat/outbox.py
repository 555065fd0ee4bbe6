"""What waits for one client. Messages are encoded once, however many get them, and may share a frame."""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence

from app.examples.chat.frames import encode_messages

LARGEST = 65_536
"""Characters of messages that share a frame; common clients refuse frames of more than a mebibyte."""


class Batch:
    """Messages in their order, and the one frame that holds them, which is made once."""

    __slots__ = ("_frame", "messages", "size")

    def __init__(self, messages: Sequence[str]) -> None:
        self.messages = messages
        self.size = sum(map(len, messages))
        self._frame: str | None = None

    @property
    def frame(self) -> str:
        """Return all of them in one frame; one that is alone is its own."""
        if self._frame is None:
            self._frame = encode_messages(self.messages) if len(self.messages) > 1 else self.messages[0]
        return self._frame


def batches(messages: Sequence[str]) -> Iterator[Batch]:
    """Divide messages into batches of which each fits into a frame."""
    begin = size = 0
    for place, message in enumerate(messages):
        if size + len(message) > LARGEST and place > begin:
            yield Batch(messages[begin:place])
            begin, size = place, 0
        size += len(message)
    if messages:
        yield Batch(messages[begin:] if begin else messages)


class Outbox:
    """The frames that wait for a client, in order."""

    # Thousands of these are idle at a time.
    __slots__ = ("_count", "_together", "_waiting", "_wake")

    def __init__(self, *, together: bool) -> None:
        """Begin with nothing; `together` is whether messages may share a frame."""
        self._together = together
        # Made when something waits: an empty one is as large as the rest of this.
        self._waiting: deque[str | Batch] | None = None
        self._count = 0
        self._wake: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        """Return how many messages and other frames wait."""
        return self._count

    def add(self, frame: str) -> None:
        """Let a frame wait that shares with none."""
        self._add(1, (frame,))

    def add_batch(self, batch: Batch) -> None:
        """Let messages wait."""
        self._add(len(batch.messages), (batch,) if self._together else batch.messages)

    def _add(self, count: int, items: Sequence[str | Batch]) -> None:
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.extend(items)
        self._count += count
        self.rouse()

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting, self._count = None, 0

    def packed(self, messages: Sequence[str]) -> Sequence[str]:
        """Return messages that wait for nothing as the frames in which this client gets them."""
        return [batch.frame for batch in batches(messages)] if self._together else messages

    def take(self) -> str | None:
        """Return the next frame to send: of messages, as many as fit; None if nothing waits."""
        if not self._waiting:
            self._waiting = None
            return None
        item = self._waiting.popleft()
        if isinstance(item, str):
            self._count -= 1
            return item
        size, messages = item.size, item.messages
        while self._waiting and isinstance(more := self._waiting[0], Batch) and size + more.size <= LARGEST:
            self._waiting.popleft()
            size, messages = size + more.size, [*messages, *more.messages]
        self._count -= len(messages)
        return item.frame if messages is item.messages else Batch(messages).frame

    def rouse(self) -> None:
        """End the wait for news."""
        if self._wake is not None:
            if not self._wake.done():
                self._wake.set_result(None)
            self._wake = None

    async def news(self) -> None:
        """Return when something waits, or there is another reason to look."""
        self._wake = asyncio.get_running_loop().create_future()
        await self._wake
