"""Following changes, for any protocol."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest

from keel.messaging.feed import Feed
from keel.messaging.pubsub import HistoryLost, Message

FIRST, SECOND = Message("1", "created", "{}"), Message("2", "created", "{}")


class Losing:
    """A pub/sub that loses everything after the first message of each subscription but the last."""

    listeners = 0

    def __init__(self, *subscriptions: list[Message]) -> None:
        self._subscriptions = list(subscriptions)
        self.after: list[str | None] = []

    async def publish(self, topic: str, event: str, data: str) -> None:
        """Do nothing: these tests publish nothing."""

    @asynccontextmanager
    async def subscribe(
        self,
        topic: str,  # noqa: ARG002 - as in the protocol
        *,
        after: str | None = None,
    ) -> AsyncGenerator[AsyncIterator[Message]]:
        """Listen."""
        self.after.append(after)
        yield self._messages(self._subscriptions.pop(0))

    async def _messages(self, messages: list[Message]) -> AsyncIterator[Message]:
        for message in messages:
            yield message
        if self._subscriptions:
            raise HistoryLost
        await asyncio.Event().wait()


async def test_lost_messages_are_reported() -> None:
    """The loss is reported once, and later messages arrive."""
    pubsub, over = Losing([FIRST], [SECOND]), asyncio.Event()
    heard: list[Message | None] = []
    async with Feed.open(pubsub, "notes:ada", "0") as feed:
        async for message in feed.until(over.wait()):
            heard.append(message)
            if message == SECOND:
                over.set()

    assert heard == [FIRST, None, SECOND]
    assert pubsub.after == ["0", None]


async def test_the_ending_may_fail() -> None:
    """Its error reaches the subscriber."""

    async def fail() -> None:
        raise PermissionError

    async with Feed.open(Losing([FIRST]), "notes:ada", None) as feed:
        with pytest.raises(PermissionError):
            assert [message async for message in feed.until(fail())] == [FIRST]
