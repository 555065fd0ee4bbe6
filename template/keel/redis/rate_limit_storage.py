"""Rate limits with counters that all processes share.

A process requests hits in advance, as many as a key has recently used in a second: a *lease*. They are counted when
granted, so a limit is never exceeded, even if the process is killed. A lease is valid for a second, and never beyond
the window that it was counted in; unused hits are given back.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Literal

from keel.redis.client import Client
from keel.redis.connection import GuardedConnection, RedisUnavailable
from keel.redis.scripts import Script
from keel.web.errors import Unavailable
from keel.web.rate_limit import InProcessStorage, Rate, Window

LEASE_SECONDS = 1.0
MOST = 1000
"""Hits requested in advance, at most. At most a tenth of the remaining hits is granted, so none near the limit."""

IDLE_SECONDS = 5.0
"""Seconds for which the usage of a key is remembered."""

HIT = Script(
    """
    local time = redis.call('TIME')
    local now = time[1] + time[2] / 1000000
    local passing, spare, back, longest, windows = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), 0, {}
    local needed = passing
    local id = redis.call('HGET', KEYS[1], 'id')
    if not id or id ~= ARGV[4] then
        back = 0  -- Counters that are gone, forgiven or evicted, are owed nothing.
    end
    if not id then
        if needed == 0 then
            return {}
        end
        id = time[1] .. '.' .. time[2]
        redis.call('HSET', KEYS[1], 'id', id)
    end
    for i = 5, #ARGV, 3 do
        local limit, seconds, granted = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
        local field, position = ARGV[i] .. '/' .. ARGV[i + 1] .. ':', now / seconds
        local number = math.floor(position)
        local left = 1 - (position - number)
        local stored = redis.call('HMGET', KEYS[1], field .. 'n', field .. 'c', field .. 'p')
        local last, current, previous = tonumber(stored[1]), tonumber(stored[2]), tonumber(stored[3])
        if last == number - 1 then
            current, previous = 0, current
        elseif last ~= number then
            current, previous = 0, 0
        end
        if granted == number then
            current = math.max(0, current - back)
        elseif granted == number - 1 then
            previous = math.max(0, previous - back)
        end
        local free = math.max(0, math.floor(limit - previous * left - current))
        passing = math.min(passing, free)
        spare = math.min(spare, math.floor((free - passing) / 10))
        longest = math.max(longest, seconds)
        windows[#windows + 1] = {number, current + passing, previous, math.floor(left * 1000000), passing}
        redis.call('HSET', KEYS[1], field .. 'n', number, field .. 'c', current + passing, field .. 'p', previous)
    end
    if passing < needed then
        spare = 0
    elseif spare > 0 then
        for i, window in ipairs(windows) do
            window[2] = window[2] + spare
            redis.call('HSET', KEYS[1], ARGV[3 * i + 2] .. '/' .. ARGV[3 * i + 3] .. ':c', window[2])
        end
    end
    redis.call('EXPIRE', KEYS[1], longest * 2)
    return {id, passing, spare, windows}
    """
)
"""The algorithm of `InProcessStorage`, by the server's clock, since the processes' clocks may differ.

Arguments: waiting hits; hits in advance; hits to give back, and the id of their counters; then for each rate its limit,
its seconds, and the window of the hits to give back. A hit that a rate refuses counts against the rates before it.
Returns nothing if there was nothing to do, else the counters' id, how many hits pass, how many were granted in advance,
and for each rate its window, the counts in it and in the previous one, the remaining fraction of it in millionths, and
how many of the waiting hits it lets pass.
"""


class _Lease:
    """The hits that a process may let pass for one key."""

    __slots__ = ("answers", "asked", "expires", "granted", "id", "lock", "rates", "units", "waiting", "want", "windows")

    def __init__(self, rates: tuple[Rate, ...]) -> None:
        self.rates = rates
        self.lock = asyncio.Lock()
        self.waiting = self.granted = self.units = self.want = 0
        self.asked = self.expires = -IDLE_SECONDS
        self.id: bytes = b""
        # For each rate: the number of its window, the counts in it and in the previous one, and when it ends.
        self.windows: Sequence[tuple[int, int, int, float]] = [(0, 0, 0, 0.0)] * len(rates)
        self.answers: deque[list[Window]] = deque()
        """For the hits that waited when the lease was requested."""

    def take(self) -> list[Window] | None:
        """Use one hit that was granted in advance, if there is one."""
        now = monotonic()
        if not self.units or now >= self.expires:
            return None
        self.units -= 1
        return list(self._say(now, self.units))

    def ask(self, need: int) -> list[Any]:
        """Return the script's arguments: waiting hits, hits in advance, and unused hits to give back."""
        now = monotonic()
        back, self.granted = self.units, self.granted - self.units
        self.units = 0
        if need:
            used_up = now < self.expires
            self.want = min(MOST, max(1, 2 * self.want)) if used_up else self.granted
            if now >= self.asked + IDLE_SECONDS:
                self.want = 0
            self.asked = now
        arguments: list[Any] = [need, self.want if need else 0, back, self.id]
        for rate, (number, *_) in zip(self.rates, self.windows, strict=True):
            arguments += [rate.amount, rate.seconds, number]
        return arguments

    def fill(self, need: int, answer: list[Any]) -> None:
        """Store what was granted. Time counts from the request, so that no lease is valid for too long."""
        self.id, passing, self.granted, windows = answer
        self.units = self.granted
        self.windows = [
            (number, current, previous, self.asked + left / 1_000_000 * rate.seconds)
            for rate, (number, current, previous, left, _) in zip(self.rates, windows, strict=True)
        ]
        self.expires = min(self.asked + LEASE_SECONDS, *(ends for *_, ends in self.windows))
        for number in range(need):
            refused_by = next((i for i, (*_, count) in enumerate(windows) if count <= number), None)
            self.answers.append(list(self._say(self.asked, self.units + max(0, passing - number - 1), refused_by)))

    def left(self) -> None:
        """Record that one waiter has its answer, or was cancelled."""
        self.waiting -= 1
        if not self.waiting:
            # Answers to cancelled waiters.
            self.units += sum(answer[-1].allowed for answer in self.answers)
            self.answers.clear()

    def _say(self, now: float, unused: int, refused_by: int | None = None) -> Iterator[Window]:
        for i, (rate, (_, current, previous, ends)) in enumerate(zip(self.rates, self.windows, strict=True)):
            left = max(0.0, ends - now) / rate.seconds
            yield Window.of(rate, current - unused, previous, left, allowed=i != refused_by)
            if i == refused_by:
                return


class RedisStorage:
    """Counts hits in Redis: a round trip for each lease, which is one hit near the limit."""

    def __init__(
        self,
        connection: GuardedConnection,
        *,
        prefix: str,
        fallback: Literal["local", "open", "closed"],
        max_keys: int = 10_000,
    ) -> None:
        """Remember leases of `max_keys` keys; the least recently used are dropped first."""
        self._connection = connection
        self._prefix = f"{prefix}limit:"
        self._fallback = fallback
        self._local = InProcessStorage()
        self._max_keys = max_keys
        self._leases: OrderedDict[str, _Lease] = OrderedDict()

    async def hit(self, key: str, rates: Sequence[Rate]) -> list[Window]:
        """Count a hit; see `RateLimitStorage.hit`."""
        lease, wanted = self._leases.get(key), tuple(rates)
        if lease is None or lease.rates != wanted:
            lease = self._leases[key] = _Lease(wanted)
            if len(self._leases) > self._max_keys:
                self._leases.popitem(last=False)
        elif said := lease.take():
            return said
        lease.waiting += 1
        try:
            async with lease.lock:
                # Another waiter may have requested hits for all of them.
                if not lease.answers and (said := lease.take()):
                    return said
                if not lease.answers:
                    await self._ask(key, lease)
                return lease.answers.popleft()
        except RedisUnavailable:
            return await self._fall_back(key, rates)
        finally:
            lease.left()

    async def _ask(self, key: str, lease: _Lease) -> None:
        if key in self._leases:
            self._leases.move_to_end(key)
        need = lease.waiting
        arguments = lease.ask(need)
        # A retry would count hits twice if the connection broke after the first attempt.
        answer = await self._connection.run(
            lambda client: HIT(client, self._prefix + key, *arguments), idempotent=False
        )
        lease.fill(need, answer)

    async def clear(self, key: str) -> None:
        """Delete the hits of a key, and this process's lease."""
        await self._local.clear(key)
        self._leases.pop(key, None)
        try:
            await self._connection.run(lambda client: client.unlink(self._prefix + key))
        except RedisUnavailable:
            return

    async def give_back(self, *, everything: bool = False) -> None:
        """Give back unused hits of expired leases, or of all; drop leases that have not been used for long."""
        now, unused = monotonic(), []
        for key, lease in list(self._leases.items()):
            if not everything and now < lease.asked + LEASE_SECONDS:
                break
            if lease.units and not lease.waiting:
                unused.append((self._prefix + key, lease.ask(0)))
            if now >= lease.asked + IDLE_SECONDS and not lease.waiting:
                del self._leases[key]
        if unused:
            with suppress(RedisUnavailable):
                await self._connection.run(lambda client: _send(client, unused), idempotent=False)

    async def _fall_back(self, key: str, rates: Sequence[Rate]) -> list[Window]:
        match self._fallback:
            case "local":
                return await self._local.hit(key, rates)
            case "open":
                return [Window(allowed=True, remaining=rate.amount, reset=0.0) for rate in rates]
        raise Unavailable("Requests cannot be counted; try again later.")


async def _send(client: Client, unused: Sequence[tuple[str, list[Any]]]) -> None:
    pipeline = client.pipeline(transaction=False)
    for key, arguments in unused:
        HIT.queue(pipeline, key, *arguments)
    await pipeline.execute()
