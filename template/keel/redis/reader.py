"""The one connection by which a process hears what others publish."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from keel.background.asyncio_tasks import stop
from keel.redis.link import OUTAGES, Link, RedisAway

Heard = Callable[[str, str], Awaitable[None]]
"""Is given a channel and what was published there."""

PAUSE = 0.05
"""Seconds between looking whether Redis is back."""

log = structlog.get_logger()


class Reader:
    """Listens to the channels that somebody wants, and comes back by itself when the connection is lost."""

    def __init__(self, link: Link, heard: Heard, reconnected: Callable[[], Awaitable[None]]) -> None:
        """Pass on what is heard; call `reconnected` when something may have been missed."""
        self._link = link
        self._heard = heard
        self._reconnected = reconnected
        self._channels: dict[str, asyncio.Event] = {}
        self._changed = asyncio.Event()
        self._asked: set[str] = set()
        self._confirmed: set[str] = set()

    async def join(self, channel: str) -> None:
        """Listen to a channel; return once nothing that is published there is missed.

        That is waited for as long as for any command; not at all while Redis is known to be away.

        Raises:
            RedisAway: nobody listens yet; as soon as somebody can, `reconnected` is called.
        """
        ready = self._channels.get(channel)
        if ready is None:
            ready = self._channels[channel] = asyncio.Event()
            if channel in self._asked & self._confirmed:
                # Somebody left a moment ago, and the server has not been told yet.
                ready.set()
            self._changed.set()
        if self._link.away:
            raise RedisAway
        try:
            async with asyncio.timeout(self._link.timeout):
                await ready.wait()
        except TimeoutError as error:
            raise RedisAway from error

    def leave(self, channel: str) -> None:
        """Listen to a channel no more."""
        del self._channels[channel]
        self._changed.set()

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            if not self._channels:
                self._changed.clear()
                await self._changed.wait()
            if self._link.away:
                await asyncio.sleep(PAUSE)
                continue
            try:
                await self._listen()
            except (*OUTAGES, RedisAway, RedisError, RuntimeError) as error:
                # The last is uvloop's word for a connection that was closed just before something is sent.
                await log.awarning("redis_reader_lost", error=repr(error))
                await asyncio.sleep(PAUSE)

    async def _listen(self) -> None:
        pubsub = self._link.client.pubsub()
        # One task sends, one receives: nobody who comes or goes, or is cancelled, touches the connection.
        sender: asyncio.Task[None] | None = None
        try:
            missing, caught_up = await self._ask(pubsub), False
            sender = asyncio.create_task(self._keep_asking(pubsub))
            while not sender.done():
                message = await pubsub.get_message(timeout=1.0)
                kind = message and message["type"]
                if kind == "message":
                    await self._heard(message["channel"].decode(), message["data"].decode())
                elif kind == "subscribe":
                    self._confirm(message["channel"].decode())
                elif kind == "unsubscribe":
                    self._confirmed.discard(message["channel"].decode())
                if not caught_up and not missing & self._channels.keys() - self._confirmed:
                    caught_up = True
                    await self._reconnected()
            await sender
        finally:
            self._asked.clear()
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

    async def _keep_asking(self, pubsub: PubSub) -> None:
        while True:
            await self._changed.wait()
            await self._ask(pubsub)

    async def _ask(self, pubsub: PubSub) -> set[str]:
        """Tell the server what is wanted now; return what is new of it."""
        self._changed.clear()
        new, old = self._channels.keys() - self._asked, self._asked - self._channels.keys()
        self._asked = set(self._channels)
        if new:
            await pubsub.subscribe(*new)
        if old:
            await pubsub.unsubscribe(*old)
        return new
