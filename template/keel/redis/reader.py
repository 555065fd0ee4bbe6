"""The subscriptions of a process, over one connection."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from keel.background.asyncio_tasks import stop
from keel.redis.connection import OUTAGES, GuardedConnection, RedisUnavailable

OnMessage = Callable[[str, str], Awaitable[None]]
"""Called with the channel and the payload."""

RETRY_SECONDS = 0.05
"""Seconds between attempts to subscribe again."""

log = structlog.get_logger()


class Reader:
    """Subscribes to the channels in use, and again after a lost connection."""

    def __init__(
        self, connection: GuardedConnection, on_message: OnMessage, on_resubscribed: Callable[[], Awaitable[None]]
    ) -> None:
        """Forward messages; call `on_resubscribed` when messages may have been missed."""
        self._connection = connection
        self._on_message = on_message
        self._on_resubscribed = on_resubscribed
        self._channels: dict[str, asyncio.Event] = {}
        self._changed = asyncio.Event()
        self._requested: set[str] = set()
        self._confirmed: set[str] = set()

    async def join(self, channel: str) -> None:
        """Subscribe to a channel; return once the server has confirmed it.

        Raises:
            RedisUnavailable: it was not confirmed within the time limit of a command. The subscription is made as soon
                as Redis answers; then `on_resubscribed` is called.
        """
        ready = self._channels.get(channel)
        if ready is None:
            ready = self._channels[channel] = asyncio.Event()
            if channel in self._requested & self._confirmed:
                # The last subscriber has just left, and UNSUBSCRIBE is not sent yet.
                ready.set()
            self._changed.set()
        if self._connection.unavailable:
            raise RedisUnavailable
        try:
            async with asyncio.timeout(self._connection.timeout):
                await ready.wait()
        except TimeoutError as error:
            raise RedisUnavailable from error

    def leave(self, channel: str) -> None:
        """Unsubscribe from a channel."""
        del self._channels[channel]
        self._changed.set()

    async def run(self) -> None:
        """Receive messages until cancelled."""
        while True:
            if not self._channels:
                self._changed.clear()
                await self._changed.wait()
            if self._connection.unavailable:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            try:
                await self._listen()
            except (*OUTAGES, RedisUnavailable, RedisError, RuntimeError) as error:
                # uvloop raises RuntimeError if the connection was closed just before a write.
                await log.awarning("redis_reader_lost", error=repr(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        pubsub = self._connection.client.pubsub()
        # One task sends, one receives: callers of `join` and `leave` may be cancelled, and never touch the connection.
        sender: asyncio.Task[None] | None = None
        try:
            missing, caught_up = await self._send_change(pubsub), False
            sender = asyncio.create_task(self._send_changes(pubsub))
            while not sender.done():
                message = await pubsub.get_message(timeout=1.0)
                kind = message and message["type"]
                if kind == "message":
                    await self._on_message(message["channel"].decode(), message["data"].decode())
                elif kind == "subscribe":
                    self._confirm(message["channel"].decode())
                elif kind == "unsubscribe":
                    self._confirmed.discard(message["channel"].decode())
                if not caught_up and not missing & self._channels.keys() - self._confirmed:
                    caught_up = True
                    await self._on_resubscribed()
            await sender
        finally:
            self._requested.clear()
            self._confirmed.clear()
            for ready in self._channels.values():
                ready.clear()
            if sender:
                await stop(sender, patience=0.1)
            with suppress(*OUTAGES, RedisError):
                await pubsub.aclose()

    def _confirm(self, channel: str) -> None:
        self._confirmed.add(channel)
        if ready := self._channels.get(channel):
            ready.set()

    async def _send_changes(self, pubsub: PubSub) -> None:
        while True:
            await self._changed.wait()
            await self._send_change(pubsub)

    async def _send_change(self, pubsub: PubSub) -> set[str]:
        """Send the changes since the last call; return the new channels."""
        self._changed.clear()
        new, old = self._channels.keys() - self._requested, self._requested - self._channels.keys()
        self._requested = set(self._channels)
        if new:
            await pubsub.subscribe(*new)
        if old:
            await pubsub.unsubscribe(*old)
        return new
