"""Following the changes to somebody's notes, for whoever passes them on: over HTTP, or by another protocol."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from keel.messaging.pubsub import HistoryLost, Message, PubSub, SubscriberTooSlow


class Changes:
    """A subscription that can begin again, from now on, when what it should have heard is lost."""

    def __init__(self, pubsub: PubSub, topic: str, stack: AsyncExitStack) -> None:
        self._pubsub = pubsub
        self._topic = topic
        self._stack = stack
        self._missed = False
        self._messages: AsyncIterator[Message]

    @classmethod
    @asynccontextmanager
    async def following(cls, pubsub: PubSub, topic: str, after: str | None) -> "AsyncGenerator[Changes]":
        """Listen before the answer begins: whoever has its beginning misses nothing that happens from then on.

        Args:
            pubsub: where changes are published.
            topic: whose.
            after: the last message that was seen; None: from now on.
        """
        async with AsyncExitStack() as stack:
            changes = cls(pubsub, topic, stack)
            try:
                await changes._subscribe(after)
            except HistoryLost:
                await changes._begin_again()
            yield changes

    async def until(self, ending: Coroutine[Any, Any, object]) -> AsyncGenerator[Message | None]:
        """Pass messages on; None says that some were missed for good, and that what follows is heard from now on.

        This ends when `ending` returns, or when the reader cannot keep up; either way it may come back.

        Raises:
            Exception: whatever `ending` raises.
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
                    await self._begin_again()
            over.result()
        except SubscriberTooSlow:
            return
        finally:
            over.cancel()
            if following:
                following.cancel()

    async def _begin_again(self) -> None:
        self._missed = True
        await self._stack.aclose()
        await self._subscribe(None)

    async def _subscribe(self, after: str | None) -> None:
        subscription = self._pubsub.subscribe(self._topic, after=after)
        self._messages = await self._stack.enter_async_context(subscription)
