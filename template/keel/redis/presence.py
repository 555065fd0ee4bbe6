"""Who is present where, in all processes together.

Each topic is a sorted set of members with the time at which they lapse. A process keeps renewing its own, so those of a
killed one are gone after `LAPSE_SECONDS`, and those that a restarted Redis has forgotten are back with the next beat.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from keel.redis.connection import GuardedConnection, RedisUnavailable
from keel.redis.scripts import Script

LAPSE_SECONDS = 15
"""After the last sign of life; several beats long, so that one may fail."""

# By the server's clock: those of the processes may differ.
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


class RedisPresence:
    """Presence in all processes; while Redis is away, in this one."""

    def __init__(self, link: GuardedConnection, *, prefix: str) -> None:
        self._link = link
        self._prefix = f"{prefix}presence:"
        # Somebody may be here and in another process too: what one of them says of its own is no business of the other.
        self._process = secrets.token_hex(4)
        self._topics: dict[str, Counter[str]] = {}

    @asynccontextmanager
    async def join(self, topic: str, member: str) -> AsyncGenerator[None]:
        """Be present until the block ends; see `keel.messaging.presence`."""
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
                # Also when the block is cancelled: others should not have to wait for the lapse.
                await asyncio.shield(self._leave(topic, member))

    async def members(self, topic: str) -> list[str]:
        """Return who is present: sorted, each once."""
        here = set(self._topics.get(topic, ()))
        try:
            found = await self._link.run(lambda client: PRESENT(client, self._prefix + topic))
        except RedisUnavailable:
            return sorted(here)
        return sorted(here | {entry.decode().partition(":")[2] for entry in found})

    async def beat(self) -> None:
        """Renew everybody who is present in this process."""
        for topic, here in list(self._topics.items()):
            await self._tell(topic, list(here))

    async def _tell(self, topic: str, members: list[str]) -> None:
        entries = [self._entry(member) for member in members]
        try:
            await self._link.run(lambda client: RENEW(client, self._prefix + topic, LAPSE_SECONDS, *entries))
        except RedisUnavailable:
            # The next beat tells.
            return

    async def _leave(self, topic: str, member: str) -> None:
        try:
            await self._link.run(lambda client: client.zrem(self._prefix + topic, self._entry(member)))
        except RedisUnavailable:
            return

    def _entry(self, member: str) -> str:
        return f"{self._process}:{member}"
