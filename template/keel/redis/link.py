"""The link to Redis: whatever happens to it costs a request no more than a short wait, and an outage costs that once.

The first command that gets no answer in time opens the circuit: from then on commands fail at once, and a task asks
every now and then whether Redis is back. So no request has to be the one that tries.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from typing import Any, TypeVar, cast

import structlog
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from keel.background.asyncio_tasks import stop
from keel.redis.client import Client, disconnect

T = TypeVar("T")
Work = Callable[[Client], Awaitable[T]]

OUTAGES = (
    RedisConnectionError,
    RedisTimeoutError,
    BusyLoadingError,
    ClusterDownError,
    ReadOnlyError,
    TryAgainError,
    TimeoutError,
    OSError,
)
"""What says that Redis is away, rather than that it will not do one thing."""

_CLOSED = "handler is closed"
"""What uvloop says, as a RuntimeError, of a connection that was closed just before something is sent."""

log = structlog.get_logger()


class RedisAway(Exception):
    """Redis did not do what it was asked to; the caller does without."""


class Link:
    """Runs commands within a time limit, and knows whether Redis is there."""

    def __init__(self, client: Client, *, timeout: float, pauses: tuple[float, float] = (0.05, 2.0)) -> None:
        """Wait `timeout` seconds for a command; while Redis is away, look after pauses from the first to the second."""
        self.client = client
        self.timeout = timeout
        self._pauses = ExponentialWithJitterBackoff(base=pauses[0], cap=pauses[1])
        self._retry = Retry(ExponentialWithJitterBackoff(base=0.01, cap=0.1), 2, (RedisConnectionError, TryAgainError))
        self._lost = False
        self._probes: set[asyncio.Task[None]] = set()
        self._closed = True
        self._on_return: list[Callable[[], Awaitable[None]]] = []

    @property
    def away(self) -> bool:
        """Whether commands fail at once."""
        return self._closed or self._lost

    def on_return(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Do something when Redis is back, before anybody else uses it, and again right after that; it may use `now`.

        The second time is for what others were refused during the first.
        """
        self._on_return.append(callback)

    async def run(self, work: Work[T], *, repeat: bool = True) -> T:
        """Do something with the client.

        Args:
            work: what to do.
            repeat: whether it may be done twice, when nobody can tell whether it was done.

        Raises:
            RedisAway: it was not done, or nobody can tell.
        """
        if self.away:
            raise RedisAway
        try:
            return await self.now(work, repeat=repeat)
        except RedisAway as error:
            if isinstance(error.__cause__, OUTAGES):
                self._lose(error.__cause__)
            raise

    async def now(self, work: Work[T], *, repeat: bool = True) -> T:
        """Do something with the client even while the circuit is open; see `run`."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        cancelled = task.cancelling()
        try:
            return await self._now(work, repeat=repeat)
        finally:
            # Before Python 3.12, the client loses a cancellation that comes just as it has sent something
            # (python/cpython#86296), and who was cancelled would go on for ever.
            if task.cancelling() > cancelled:
                raise asyncio.CancelledError

    async def _now(self, work: Work[T], *, repeat: bool) -> T:
        try:
            async with asyncio.timeout(self.timeout):
                if repeat:
                    return await self._retry.call_with_retry(lambda: self._do(work), _ignore)
                return await self._do(work)
        except OutOfMemoryError as error:
            await log.awarning("redis_full", error=str(error))
            raise RedisAway from error
        except OUTAGES as error:
            raise RedisAway from error
        except RedisError as error:
            # Not allowed, say: no reason to fail a request that can do without, but somebody should know.
            await log.aexception("redis_refused")
            raise RedisAway from error

    async def _do(self, work: Work[T]) -> T:
        try:
            return await work(self.client)
        except RuntimeError as error:
            if _CLOSED not in str(error):
                raise
            raise RedisConnectionError(str(error)) from error

    async def ping(self) -> None:
        """Raise unless Redis answers."""
        await self.run(_ping)

    def open(self) -> None:
        """Begin, as the process does; before that, nothing runs."""
        self._closed = False

    async def close(self) -> None:
        """Close every connection."""
        self._closed = True
        await stop(*self._probes)
        self._lost = False
        with suppress(*OUTAGES):
            await disconnect(self.client)

    def _lose(self, error: BaseException) -> None:
        if not self.away:
            log.warning("redis_away", error=f"{type(error).__name__}: {error}")
            self._lost = True
            # In a context of its own: it is no part of the request that noticed first.
            probe = asyncio.create_task(self._find(), context=Context())
            self._probes.add(probe)
            probe.add_done_callback(self._probes.discard)

    async def _find(self) -> None:
        """Ask until Redis answers, let those who wait for that catch up, then close the circuit."""
        failures = 0
        while True:
            failures += 1
            await asyncio.sleep(self._pauses.compute(failures))
            try:
                await self.now(_ping)
                await self._catch_up()
            except RedisAway:
                continue
            break
        self._lost = False
        await log.awarning("redis_back")
        try:
            await self._catch_up()
        except RedisAway as error:
            self._lose(error)

    async def _catch_up(self) -> None:
        for callback in self._on_return:
            await callback()


async def _ping(client: Client) -> None:
    await client.ping()


async def _ignore(_: Exception) -> None:
    """Do nothing between two attempts; the client has closed what was broken."""
