"""Outbound messages of this process: queued, and sent to Redis in order by one task.

Messages published during a round trip share the next one. A publisher waits until its message is sent or lost: once a
write is answered, it has been announced, even if the process is killed right after.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog

from keel.background.asyncio_tasks import spawn
from keel.redis.client import Client
from keel.redis.connection import GuardedConnection, RedisUnavailable
from keel.redis.scripts import Script

BATCH = 200
"""Messages in one round trip, at most."""

MAX_WAITING = 10_000
"""Messages in the queue, at most; further ones are lost, and subscribers are notified."""

Outgoing = tuple[str, Sequence[Any], asyncio.Future[None]]
"""A stream, the arguments of the script that adds to it, and a future that is done when it is sent or lost."""

log = structlog.get_logger()


class Outbound:
    """Sends messages in the order in which they were published."""

    def __init__(
        self, connection: GuardedConnection, script: Script, on_lost: Callable[[Sequence[str]], Awaitable[None]]
    ) -> None:
        """Send with a script; call back with the streams of messages that were, or may have been, lost."""
        self._connection = connection
        self._script = script
        self._on_lost = on_lost
        self._waiting: deque[Outgoing] = deque()
        self._task: asyncio.Task[None] | None = None

    async def put(self, stream: str, arguments: Sequence[Any]) -> None:
        """Send a message; return when it is sent or lost. It is sent even if the caller is cancelled."""
        if len(self._waiting) >= MAX_WAITING:
            await self._on_lost([stream])
            return
        sent = asyncio.get_running_loop().create_future()
        self._waiting.append((stream, arguments, sent))
        if self._task is None:
            self._task = spawn(self._send_all())
        await sent

    async def drain(self) -> None:
        """Return when nothing waits, not even for callers that were cancelled."""
        while self._task:
            await asyncio.wait([self._task])

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                await self._send(batch)
                for *_, sent in batch:
                    if not sent.done():
                        sent.set_result(None)
        finally:
            self._task = None

    async def _send(self, batch: Sequence[Outgoing]) -> None:
        async def command(client: Client) -> None:
            if len(batch) == 1:
                ((stream, arguments, _),) = batch
                await self._script(client, stream, *arguments)
                return
            pipeline = client.pipeline(transaction=False)
            for stream, arguments, _ in batch:
                self._script.queue(pipeline, stream, *arguments)
            await pipeline.execute()

        try:
            # Not repeated: a gap, which is reported to subscribers, is better than a duplicate.
            await self._connection.run(command, idempotent=False)
        except RedisUnavailable:
            await self._on_lost([stream for stream, *_ in batch])
        except Exception:  # noqa: BLE001 - the queue must still be sent
            await log.aexception("publish_failed")
            await self._on_lost([stream for stream, *_ in batch])
