"""Messages that share a frame, and the send queue of a client that may receive such frames."""

from collections.abc import Iterator, Sequence

from app.examples.chat.live.frames import encode_messages
from keel.websockets.send_queue import SendQueue

MAX_SIZE = 65_536
"""Characters of messages that share a frame; common clients refuse frames of more than a mebibyte."""


class Batch:
    """Consecutive messages, and the one frame that holds them, which is encoded once."""

    __slots__ = ("_frame", "messages", "size")

    def __init__(self, messages: Sequence[str]) -> None:
        self.messages = messages
        self.size = sum(map(len, messages))
        self._frame: str | None = None

    @property
    def frame(self) -> str:
        """All messages in one frame; a single message is a frame of its own."""
        if self._frame is None:
            self._frame = encode_messages(self.messages) if len(self.messages) > 1 else self.messages[0]
        return self._frame


def split_batches(messages: Sequence[str]) -> Iterator[Batch]:
    """Split messages into batches that each fit into a frame."""
    begin = size = 0
    for position, message in enumerate(messages):
        if size + len(message) > MAX_SIZE and position > begin:
            yield Batch(messages[begin:position])
            begin, size = position, 0
        size += len(message)
    if messages:
        yield Batch(messages[begin:] if begin else messages)


class MessageQueue(SendQueue):
    """The messages and other frames that wait for one client; its length counts messages, not frames."""

    __slots__ = ("_batched",)

    def __init__(self, *, batched: bool) -> None:
        """Start empty; `batched` is whether messages may share a frame."""
        super().__init__()
        self._batched = batched

    def put_batch(self, batch: Batch) -> None:
        """Queue messages."""
        self.extend(len(batch.messages), (batch,) if self._batched else batch.messages)

    def packed(self, messages: Sequence[str]) -> Sequence[str]:
        """Return messages as the frames in which this client receives them, without queueing them."""
        return [batch.frame for batch in split_batches(messages)] if self._batched else messages

    def take(self) -> str | None:
        """Return the next frame, with as many messages as fit; None if nothing waits."""
        if not self.items or isinstance(self.items[0], str):
            return super().take()
        batch: Batch = self.items.popleft()
        size, messages = batch.size, batch.messages
        while self.items and isinstance(more := self.items[0], Batch) and size + more.size <= MAX_SIZE:
            self.items.popleft()
            size, messages = size + more.size, [*messages, *more.messages]
        self.count -= len(messages)
        return batch.frame if messages is batch.messages else Batch(messages).frame
