"""The guarded connection to Redis: time limits, retries, and a circuit breaker.

The first command that times out or loses its connection opens the circuit: later commands fail at once, and a task
probes the server in the background. So an outage delays only the requests that were already waiting when it began.
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
Command = Callable[[Client], Awaitable[T]]

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
"""Errors that mean that the server is unavailable, not that it rejects one command."""

_CLOSED = "handler is closed"
"""Part of the RuntimeError that uvloop raises if a connection was closed just before a write."""

log = structlog.get_logger()


class RedisUnavailable(Exception):
    """The command was not executed, or its outcome is unknown; callers continue without it."""


class GuardedConnection:
    """Runs commands within a time limit, behind a circuit breaker."""

    def __init__(self, client: Client, *, timeout: float, pauses: tuple[float, float] = (0.05, 2.0)) -> None:
        """Take the limits.

        Args:
            client: a client without retries.
            timeout: seconds for one command, retries included.
            pauses: the shortest and longest pause between probes while the circuit is open, in seconds.
        """
        self.client = client
        self.timeout = timeout
        self._pauses = ExponentialWithJitterBackoff(base=pauses[0], cap=pauses[1])
        self._retry = Retry(ExponentialWithJitterBackoff(base=0.01, cap=0.1), 2, (RedisConnectionError, TryAgainError))
        self._circuit_open = False
        self._probes: set[asyncio.Task[None]] = set()
        self._closed = True
        self._on_reconnect: list[Callable[[], Awaitable[None]]] = []

    @property
    def unavailable(self) -> bool:
        """Whether commands fail at once."""
        return self._closed or self._circuit_open

    def on_reconnect(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call back when Redis answers again: before the circuit closes, and once more right after.

        The second call is for commands that were refused during the first. The callback uses `run_unguarded`.
        """
        self._on_reconnect.append(callback)

    async def run(self, command: Command[T], *, idempotent: bool = True) -> T:
        """Run a command.

        Args:
            command: called with the client.
            idempotent: whether it may be repeated if the outcome of the first attempt is unknown.

        Raises:
            RedisUnavailable: it was not executed, or its outcome is unknown.
        """
        if self.unavailable:
            raise RedisUnavailable
        try:
            return await self.run_unguarded(command, idempotent=idempotent)
        except RedisUnavailable as error:
            if isinstance(error.__cause__, OUTAGES):
                self._open_circuit(error.__cause__)
            raise

    async def run_unguarded(self, command: Command[T], *, idempotent: bool = True) -> T:
        """Run a command even while the circuit is open; see `run`."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        cancelled = task.cancelling()
        try:
            return await self._run(command, idempotent=idempotent)
        finally:
            # Before Python 3.12 the client swallows a cancellation that arrives just after a write
            # (python/cpython#86296): the task would never end.
            if task.cancelling() > cancelled:
                raise asyncio.CancelledError

    async def _run(self, command: Command[T], *, idempotent: bool) -> T:
        try:
            async with asyncio.timeout(self.timeout):
                if idempotent:
                    return await self._retry.call_with_retry(lambda: self._attempt(command), _ignore)
                return await self._attempt(command)
        except OutOfMemoryError as error:
            await log.awarning("redis_full", error=str(error))
            raise RedisUnavailable from error
        except OUTAGES as error:
            raise RedisUnavailable from error
        except RedisError as error:
            # For example a missing permission: requests continue without Redis, but the operator should know.
            await log.aexception("redis_refused")
            raise RedisUnavailable from error

    async def _attempt(self, command: Command[T]) -> T:
        try:
            return await command(self.client)
        except RuntimeError as error:
            if _CLOSED not in str(error):
                raise
            raise RedisConnectionError(str(error)) from error

    async def ping(self) -> None:
        """Raise unless Redis answers."""
        await self.run(_ping)

    def open(self) -> None:
        """Allow commands; until then they fail."""
        self._closed = False

    async def close(self) -> None:
        """Close every connection."""
        self._closed = True
        await stop(*self._probes)
        self._circuit_open = False
        with suppress(*OUTAGES):
            await disconnect(self.client)

    def _open_circuit(self, error: BaseException) -> None:
        if not self.unavailable:
            log.warning("redis_unavailable", error=f"{type(error).__name__}: {error}")
            self._circuit_open = True
            # In an empty context: the probe is not part of the request that failed first.
            probe = asyncio.create_task(self._probe(), context=Context())
            self._probes.add(probe)
            probe.add_done_callback(self._probes.discard)

    async def _probe(self) -> None:
        """Ping until Redis answers, run the callbacks, close the circuit, and run them again."""
        failures = 0
        while True:
            failures += 1
            await asyncio.sleep(self._pauses.compute(failures))
            try:
                await self.run_unguarded(_ping)
                await self._call_back()
            except RedisUnavailable:
                continue
            break
        self._circuit_open = False
        await log.awarning("redis_recovered")
        try:
            await self._call_back()
        except RedisUnavailable as error:
            self._open_circuit(error)

    async def _call_back(self) -> None:
        for callback in self._on_reconnect:
            await callback()


async def _ping(client: Client) -> None:
    await client.ping()


async def _ignore(_: Exception) -> None:
    """Do nothing between two attempts: the client has closed the broken connection."""
