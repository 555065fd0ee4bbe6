"""Presence shared by all processes, replacing the in-process default.

Each topic is a sorted set of members with their expiry. A process renews its own members, so those of a killed process
expire after `EXPIRY_SECONDS`, and those that a restarted Redis has lost are back with the next heartbeat.

A separate module listed in `keel.features`: it is rendered only in projects with WebSockets.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from keel.background.asyncio_tasks import stop
from keel.redis.connection import GuardedConnection, RedisUnavailable
from keel.redis.plugin import heartbeat
from keel.redis.scripts import Script
from keel.redis.settings import RedisSettings
from keel.services import services_of

EXPIRY_SECONDS = 15
"""Lifetime after the last heartbeat: several intervals, so that one may fail."""

# By the server's clock: the processes' clocks may differ.
RENEW = Script(
    """
    local now = redis.call('TIME')[1]
    for i = 2, #ARGV do
        redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i])
    end
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
    redis.call('EXPIRE', KEYS[1], ARGV[1] * 2)
    """
)

PRESENT = Script("return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. redis.call('TIME')[1], '+inf')")


def install(app: FastAPI) -> None:
    """Share presence between processes."""
    presence = RedisPresence(services_of(app).redis, prefix=RedisSettings.load().prefix)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        task = asyncio.create_task(heartbeat([presence.beat]))
        try:
            yield
        finally:
            await stop(task)

    services_of(app).presence = presence
    app.include_router(APIRouter(lifespan=lifespan))


class RedisPresence:
    """Presence in all processes; only in this one while Redis is unavailable."""

    def __init__(self, connection: GuardedConnection, *, prefix: str) -> None:
        self._connection = connection
        self._prefix = f"{prefix}presence:"
        # A member may be in several processes; each process adds and removes its own entry.
        self._process = secrets.token_hex(4)
        self._topics: dict[str, Counter[str]] = {}

    @asynccontextmanager
    async def join(self, topic: str, member: str) -> AsyncGenerator[None]:
        """Be present until the block ends; see `keel.websockets.presence`."""
        here = self._topics.setdefault(topic, Counter())
        here[member] += 1
        try:
            if here[member] == 1:
                await self._tell(topic, [member])
            yield
        finally:
            here[member] -= 1
            if not here[member]:
                del here[member]
                if not here:
                    self._topics.pop(topic, None)
                # Even when cancelled: other processes should not have to wait for the expiry.
                await asyncio.shield(self._leave(topic, member))

    async def members(self, topic: str) -> list[str]:
        """Return the members that are present: sorted, each once."""
        here = set(self._topics.get(topic, ()))
        try:
            found = await self._connection.run(lambda client: PRESENT(client, self._prefix + topic))
        except RedisUnavailable:
            return sorted(here)
        return sorted(here | {entry.decode().partition(":")[2] for entry in found})

    async def beat(self) -> None:
        """Renew the members of this process."""
        for topic, here in list(self._topics.items()):
            await self._tell(topic, list(here))

    async def _tell(self, topic: str, members: list[str]) -> None:
        entries = [self._entry(member) for member in members]
        try:
            await self._connection.run(lambda client: RENEW(client, self._prefix + topic, EXPIRY_SECONDS, *entries))
        except RedisUnavailable:
            # The next heartbeat makes up for it.
            return

    async def _leave(self, topic: str, member: str) -> None:
        try:
            await self._connection.run(lambda client: client.zrem(self._prefix + topic, self._entry(member)))
        except RedisUnavailable:
            return

    def _entry(self, member: str) -> str:
        return f"{self._process}:{member}"
