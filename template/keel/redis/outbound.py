"""Messages of this process on their way to Redis: queued, and sent in order by a task of their own.

What is published while a round trip is under way shares the next one. A publisher waits until its message is sent, or
lost: a write that was answered has been announced, even if the process is killed right after.
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
"""Messages that wait, at most; further ones are lost, which subscribers are told."""

Outgoing = tuple[str, Sequence[Any], asyncio.Future[None]]
"""A stream, the arguments of the script that adds to it, and what is done when it was sent or lost."""

log = structlog.get_logger()


class Outbound:
    """Sends messages in the order in which they were published."""

    def __init__(
        self, connection: GuardedConnection, script: Script, on_lost: Callable[[Sequence[str]], Awaitable[None]]
    ) -> None:
        """Send by a script; call back with the streams of messages that were lost, or may have been."""
        self._connection = connection
        self._script = script
        self._on_lost = on_lost
        self._waiting: deque[Outgoing] = deque()
        self._task: asyncio.Task[None] | None = None

    async def put(self, stream: str, arguments: Sequence[Any]) -> None:
        """Send a message; return when it was sent, or lost. It is sent also if the caller is cancelled."""
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
            # Not repeated: better a gap, which subscribers are told of, than a duplicate.
            await self._connection.run(command, idempotent=False)
        except RedisUnavailable:
            await self._on_lost([stream for stream, *_ in batch])
        except Exception:  # noqa: BLE001 - whatever it is, what waits must still be sent
            await log.aexception("publish_failed")
            await self._on_lost([stream for stream, *_ in batch])
