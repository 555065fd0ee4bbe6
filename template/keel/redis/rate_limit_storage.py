"""Rate limits with counters that all processes share."""

from collections.abc import Sequence
from typing import Literal

from keel.redis.connection import GuardedConnection, RedisUnavailable
from keel.redis.scripts import Script
from keel.web.errors import Unavailable
from keel.web.rate_limit import InProcessStorage, Rate, Window

HIT = Script(
    """
    local time = redis.call('TIME')
    local now = time[1] + time[2] / 1000000
    local said, longest = {}, 0
    for i = 1, #ARGV, 2 do
        local limit, seconds = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
        local field, position = limit .. '/' .. seconds .. ':', now / seconds
        local number = math.floor(position)
        local left = 1 - (position - number)
        local stored = redis.call('HMGET', KEYS[1], field .. 'n', field .. 'c', field .. 'p')
        local last, current, previous = tonumber(stored[1]), tonumber(stored[2]), tonumber(stored[3])
        if last == number - 1 then
            current, previous = 0, current
        elseif last ~= number then
            current, previous = 0, 0
        end
        local allowed = previous * left + current + 1 <= limit
        if allowed then
            current = current + 1
            redis.call('HSET', KEYS[1], field .. 'n', number, field .. 'c', current, field .. 'p', previous)
        end
        longest = math.max(longest, seconds)
        said[#said + 1] = {allowed and 1 or 0, current, previous, math.floor(left * 1000000)}
        if not allowed then
            break
        end
    end
    redis.call('EXPIRE', KEYS[1], longest * 2)
    return said
    """
)
"""The algorithm of `InProcessStorage`, by the server's clock, since those of the processes may differ."""


class RedisStorage:
    """Counts hits in Redis: one round trip per hit, for any number of rates."""

    def __init__(
        self, connection: GuardedConnection, *, prefix: str, fallback: Literal["local", "open", "closed"]
    ) -> None:
        self._connection = connection
        self._prefix = f"{prefix}limit:"
        self._fallback = fallback
        self._local = InProcessStorage()

    async def hit(self, key: str, rates: Sequence[Rate]) -> list[Window]:
        """Count a hit; see `RateLimitStorage.hit`."""
        arguments = [number for rate in rates for number in rate]
        try:
            # A retry would count a hit twice if the connection broke after the first attempt.
            results = await self._connection.run(
                lambda client: HIT(client, self._prefix + key, *arguments), idempotent=False
            )
        except RedisUnavailable:
            return await self._fall_back(key, rates)
        return [
            Window.of(rate, current, previous, left / 1_000_000, allowed=bool(allowed))
            for rate, (allowed, current, previous, left) in zip(rates, results, strict=False)
        ]

    async def clear(self, key: str) -> None:
        """Delete the hits of a key."""
        await self._local.clear(key)
        try:
            await self._connection.run(lambda client: client.unlink(self._prefix + key))
        except RedisUnavailable:
            return

    async def _fall_back(self, key: str, rates: Sequence[Rate]) -> list[Window]:
        match self._fallback:
            case "local":
                return await self._local.hit(key, rates)
            case "open":
                return [Window(allowed=True, remaining=rate.amount, reset=0.0) for rate in rates]
        raise Unavailable("Requests cannot be counted at the moment.")
