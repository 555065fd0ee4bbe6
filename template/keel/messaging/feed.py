"""Following a topic, for protocols that forward its messages: server-sent events, gRPC streams."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from keel.messaging.pubsub import HistoryLost, Message, PubSub, SubscriberTooSlow


class Feed:
    """A subscription that restarts from now when messages were lost."""

    def __init__(self, pubsub: PubSub, topic: str, stack: AsyncExitStack) -> None:
        self._pubsub = pubsub
        self._topic = topic
        self._stack = stack
        self._missed = False
        self._messages: AsyncIterator[Message]

    @classmethod
    @asynccontextmanager
    async def open(cls, pubsub: PubSub, topic: str, after: str | None) -> "AsyncGenerator[Feed]":
        """Subscribe. Do this before the response begins, so that a client that has received the headers misses nothing.

        Args:
            pubsub: where messages are published.
            topic: the topic to follow.
            after: the id of the last message that the client has seen; None to start from now.
        """
        async with AsyncExitStack() as stack:
            feed = cls(pubsub, topic, stack)
            try:
                await feed._subscribe(after)
            except HistoryLost:
                await feed._restart()
            yield feed

    async def until(self, ending: Coroutine[Any, Any, object]) -> AsyncGenerator[Message | None]:
        """Yield messages; None means that some were lost, and that the feed continues from now.

        This ends when `ending` returns, or when the reader is too slow; either way the client may resume.

        Raises:
            Exception: what `ending` raises.
        """
        over = asyncio.ensure_future(ending)
        following: asyncio.Future[Message] | None = None
        try:
            while not over.done():
                if self._missed:
                    self._missed = False
                    yield None
                following = asyncio.ensure_future(anext(self._messages))
                await asyncio.wait((following, over), return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    break
                try:
                    yield following.result()
                except HistoryLost:
                    await self._restart()
            over.result()
        except SubscriberTooSlow:
            return
        finally:
            over.cancel()
            if following:
                following.cancel()

    async def _restart(self) -> None:
        self._missed = True
        await self._stack.aclose()
        await self._subscribe(None)

    async def _subscribe(self, after: str | None) -> None:
        subscription = self._pubsub.subscribe(self._topic, after=after)
        self._messages = await self._stack.enter_async_context(subscription)
